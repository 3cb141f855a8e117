/**
 * What a relay in the place of the door's own socket could change of the contract; `CORDON_RELAY_CONTRACT=whole` for all of it. The rest
 * is that of the same containers, which sandbox-docker.test.ts holds to it.
 */
import { after, before } from "node:test";
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
