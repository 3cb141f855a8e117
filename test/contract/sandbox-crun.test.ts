/** The contract with crun where this machine's cgroups allow it; elsewhere the error that says why not. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { systemClock as clock } from "../../lib/clock.ts";
import { SandboxError } from "../../mesh/sandbox/backend.ts";
import { readCgroups } from "../../mesh/sandbox/cgroup.ts";
import { createOciBackend } from "../../mesh/sandbox/oci.ts";
import { runtimeProfiles } from "../../mesh/sandbox/runtime-profile.ts";
import { findRuntime } from "../../mesh/sandbox/runtime.ts";
import { sandboxContract } from "./sandbox-backend.ts";
import { openHost, skipUnlessRoot, specOf } from "./sandbox-fixture.ts";

const crun = await findRuntime("", { ...runtimeProfiles.container, programs: ["crun"] });
const cgroups = await readCgroups();
const absent = skipUnlessRoot || (crun === null && "crun is not installed: run `apt-get install -y crun`");
const refused = cgroups?.version === 1 && "crun refuses version 1 cgroups beside a version 2 hierarchy";
const skip = absent || refused;
if (skip !== false) console.error(`SKIPPED: the contract with crun: ${skip}`);

sandboxContract(
  "oci with crun",
  { isolation: "container", refused: ["gvisor", "microvm"], showsFence: true, tellsSignals: "all", skip },
  () => openHost({ runtime: crun, gvisor: null }),
);

it(
  "crun on a machine of version 1 is a shortfall and an error, and leaves nothing",
  {
    skip: absent || (refused === false && "this machine has version 2"),
  },
  async () => {
    const host = await openHost();
    const options = { installation: host.installation, stateDir: host.stateDir, rootfs: host.rootfs, clock };
    const backend = createOciBackend({ ...options, runtime: crun });
    assert.match(JSON.stringify(await backend.shortfalls("container")), /crun [0-9.]+` refuses this machine's cgroup/);
    await assert.rejects(backend.start(specOf("")), SandboxError);
    assert.deepEqual(host.leftovers(), []);
    await host.close();
  },
);
