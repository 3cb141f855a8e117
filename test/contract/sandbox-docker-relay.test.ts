/**
 * What a relay in the place of the door's own socket could change of the contract; `CORDON_RELAY_CONTRACT=whole` for all of it. The rest
 * is that of the same containers, which sandbox-docker.test.ts holds to it.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { systemClock as clock } from "../../lib/clock.ts";
import { randomId } from "../../lib/id.ts";
import { fenceHolds, probeFence } from "../../mesh/sandbox/probe.ts";
import { openRelayed } from "./docker-relay-fixture.ts";
import { skipWithoutDocker as skip, startEngine, type TestEngine } from "./dockerd.ts";
import { sandboxContract } from "./sandbox-backend.ts";

let engine: TestEngine | undefined;
before(async () => void (engine = skip === false ? await startEngine() : undefined), { timeout: 90_000 });
after(() => engine?.close());

const touched =
  /^(runs the command|opens the sandbox's door|stops:|refuses an id or a volume in use|undoes everything)/;
const traits = {
  isolation: "container",
  refused: ["microvm"],
  showsFence: true,
  user: "of the host's range",
  tellsSignals: "none",
  skip,
  ...(process.env["CORDON_RELAY_CONTRACT"] !== "whole" && { only: touched }),
} as const;
sandboxContract("docker with runc, through relays", traits, () => openRelayed(engine?.socketPath ?? ""));

describe("docker with runc, through relays: the fence", { skip, timeout: 120_000 }, () => {
  it("lets nothing out that the probe tries", async () => {
    const host = await openRelayed(engine?.socketPath ?? "");
    const results = await probeFence(host.backend, { clock, id: randomId }, "container");
    await host.close();
    assert.deepEqual(
      results.filter((result) => !result.stopped),
      [],
    );
    assert.equal(fenceHolds(results, "container"), true);
  });
});
