/** The contract and the break-out probe with gVisor under the oci backend. Needs runsc: `apt-get install -y runsc`. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { systemClock as clock } from "../../lib/clock.ts";
import { randomId as id } from "../../lib/id.ts";
import { SandboxError } from "../../mesh/sandbox/backend.ts";
import { createOciBackend } from "../../mesh/sandbox/oci.ts";
import { attemptsOf } from "../../mesh/sandbox/probe-attempts.ts";
import { fenceHolds, probeFence } from "../../mesh/sandbox/probe.ts";
import { runtimeProfiles } from "../../mesh/sandbox/runtime-profile.ts";
import { findRuntime } from "../../mesh/sandbox/runtime.ts";
import { sandboxContract } from "./sandbox-backend.ts";
import { faultyRuntime, openHost, skipUnlessRoot, specOf, startWatched, type TestHost } from "./sandbox-fixture.ts";

const runsc = await findRuntime("", runtimeProfiles.gvisor);
const skip = skipUnlessRoot || (runsc === null && "gVisor is not installed: run `apt-get install -y runsc`");
if (skip !== false) console.error(`SKIPPED: the contract with gVisor: ${skip}`);

sandboxContract(
  "oci with gvisor",
  { isolation: "gvisor", refused: ["microvm"], showsFence: false, tellsSignals: "those of the host", skip },
  () => openHost(),
);

describe("gvisor", { skip, timeout: 120_000 }, () => {
  let host: TestHost;
  before(async () => void (host = await openHost()));
  after(() => host?.close());

  it("lets nothing out that the probe tries", async () => {
    const results = await probeFence(host.backend, { clock, id }, "gvisor");
    assert.deepEqual(
      results.filter((result) => !result.stopped),
      [],
    );
    assert.equal(fenceHolds(results, "gvisor"), true);
    assert.ok(attemptsOf("gvisor").length > 80);
  });

  it("answers with a kernel of its own, not with the host's", async () => {
    const script = `import fs from "node:fs"; console.log(fs.readFileSync("/proc/version", "utf8"))`;
    const [inside, host_] = await Promise.all(
      (["gvisor", "container"] as const).map(async (isolation) =>
        (await startWatched(host.backend, specOf(script, { isolation }))).ended(),
      ),
    );
    assert.match(inside ?? "", /^Linux version/);
    assert.notEqual(inside, host_);
  });

  it("is refused, not weakened, where runsc is missing, while containers go on", async () => {
    const options = { installation: host.installation, stateDir: host.stateDir, rootfs: host.rootfs, clock };
    const bare = createOciBackend({ ...options, runtime: await findRuntime("") });
    assert.match(
      JSON.stringify(await bare.shortfalls("gvisor")),
      /no OCI runtime \(runsc\).*isolation `gvisor` needs.*apt-get install runsc/,
    );
    await assert.rejects(bare.start(specOf("", { isolation: "gvisor" })), SandboxError);
    assert.deepEqual(await bare.shortfalls("container"), []);
  });

  it("ends with its cause when it eats more memory than it has", async () => {
    const script = `const all = []; for (;;) all.push(Buffer.alloc(8 << 20, 1))`;
    const run = await startWatched(host.backend, specOf(script, { isolation: "gvisor" }));
    await run.ended(30_000);
    assert.deepEqual(host.leftovers(), []);
  });

  it("ends a sandbox that a faulty runtime built without limits", async () => {
    const gvisor = faultyRuntime(host, "no limits", runsc ?? "", "--ignore-cgroups");
    const options = { installation: host.installation, stateDir: host.stateDir, rootfs: host.rootfs, clock };
    const faulty = createOciBackend({ ...options, runtime: null, gvisor });
    await assert.rejects(
      faulty.start(specOf("setInterval(() => {}, 1e6)", { isolation: "gvisor" })),
      (e: unknown) => e instanceof SandboxError && /cgroup is not its own/.test(e.message),
    );
    assert.deepEqual(host.leftovers(), []);
  });
});
