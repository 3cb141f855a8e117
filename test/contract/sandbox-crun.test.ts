/**
 * The contract with crun. It refuses a machine that has controllers of both versions: there the refusal is tested, and the
 * contract once more in a mount namespace that does not show the hierarchy of version 2.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { fileURLToPath } from "node:url";
import { systemClock as clock } from "../../lib/clock.ts";
import { SandboxError } from "../../mesh/sandbox/backend.ts";
import { readCgroups } from "../../mesh/sandbox/cgroup.ts";
import { createOciBackend } from "../../mesh/sandbox/oci.ts";
import { runtimeProfiles } from "../../mesh/sandbox/runtime-profile.ts";
import { findRuntime } from "../../mesh/sandbox/runtime.ts";
import { sandboxContract } from "./sandbox-backend.ts";
import { openHost, skipUnlessRoot, specOf } from "./sandbox-fixture.ts";

const crun = await findRuntime("", { ...runtimeProfiles.container, programs: ["crun"] });
const mixed = (await readCgroups())?.mixed ?? [];
const absent = skipUnlessRoot || (crun === null && "crun is not installed: run `apt-get install -y crun`");
const refused =
  mixed.length > 0 && `crun refuses \`${mixed.join("`, `")}\` of cgroup version 2 beside those of version 1`;
const skip = absent || refused;
if (skip !== false) console.error(`SKIPPED here: the contract with crun: ${skip}`);
/**
 * In a mount namespace of its own, where nothing that is mounted or unmounted is so for anybody else: another folder of groups,
 * which has the hierarchies of version 1, over the one that has both. `$1`: an empty folder; then the program.
 */
const VERSION_1_ONLY = `
folder=$1; shift
mount -t tmpfs -o mode=755 cgroups "$folder"
for point in $(awk '$3 == "cgroup" { print $2 }' /proc/self/mounts); do
  mkdir "$folder/$(basename "$point")"
  mount --bind "$point" "$folder/$(basename "$point")"
done
for point in $(awk '$3 == "cgroup2" { print $2 }' /proc/self/mounts); do umount "$point"; done
mount --move "$folder" /sys/fs/cgroup
exec "$@"`;
/** Of the contract; fewer would be a suite that has not run. */
const TESTS_MIN = 25;

sandboxContract(
  "oci with crun",
  { isolation: "container", refused: ["gvisor", "microvm"], showsFence: true, tellsSignals: "all", skip },
  () => openHost({ runtime: crun, gvisor: null }),
);

const unmixed = absent || (refused === false && "this machine has controllers of one version");

it(
  "crun on a machine with both versions is a shortfall and an error, and leaves nothing",
  { skip: unmixed },
  async () => {
    const host = await openHost();
    const options = { installation: host.installation, stateDir: host.stateDir, rootfs: host.rootfs, clock };
    const backend = createOciBackend({ ...options, runtime: crun });
    assert.match(JSON.stringify(await backend.shortfalls("container")), /crun [0-9.]+` refuses this machine's cgroup/);
    await assert.rejects(
      backend.start(specOf("")),
      (error) => error instanceof SandboxError && /cgroups in hybrid mode not supported/.test(error.message),
    );
    assert.deepEqual(host.leftovers(), []);
    await host.close();
  },
);

it("crun keeps the contract where only version 1 is shown", { skip: unmixed, timeout: 180_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "cordon-cgroups-"));
  const test = [process.execPath, "--test", "--test-reporter=tap", fileURLToPath(import.meta.url)];
  const words = ["--mount", "--propagation", "private", "sh", "-ec", VERSION_1_ONLY, "sh", folder, ...test];
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const child = spawn("unshare", words, { env, stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  child.stdout.on("data", (piece: Buffer) => (text += piece.toString()));
  const code = await new Promise((resolve) => child.once("close", resolve));
  rmdirSync(folder);
  const count = (word: string): number => Number(new RegExp(`^# ${word} (\\d+)$`, "m").exec(text)?.[1] ?? -1);
  const failed = text.split("\n").filter((line) => /^ *not ok /.test(line));
  assert.deepEqual([failed, code], [[], 0], text.slice(-4_000));
  assert.ok(count("pass") >= TESTS_MIN, text.slice(-2_000));
  // The two that are of a machine with both versions.
  assert.deepEqual([count("fail"), count("cancelled"), count("skipped")], [0, 0, 2]);
});
