import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { systemClock as clock } from "../../lib/clock.ts";
import type { Cgroups } from "./cgroup.ts";
import { placesOf } from "./places.ts";
import { runtimeProfiles } from "./runtime-profile.ts";
import { Runtime } from "./runtime.ts";
import { shortfallsOf } from "./shortfalls.ts";

const folder = mkdtempSync(join(tmpdir(), "cordon-shortfalls-"));
after(() => rmSync(folder, { recursive: true, force: true }));

function answering(text: string, isolation: "container" | "gvisor" = "container"): Runtime {
  const file = join(folder, "runtime");
  writeFileSync(file, `#!/bin/sh\necho "${text}"\n`, { mode: 0o755 });
  return new Runtime(file, runtimeProfiles[isolation], placesOf("abcdefgh", folder), clock);
}
const cgroups = (version: 1 | 2, missing: readonly string[] = [], mixed: readonly string[] = []): Cgroups => ({
  version,
  missing,
  mixed,
  folders: () => [],
  folder: () => "/sys/fs/cgroup/memory",
});
const found = async (runtime: Runtime | null, groups: Cgroups | null): Promise<string> =>
  (await shortfallsOf({ runtime, cgroups: groups, rootfs: folder, clock }, "container")).map((s) => s.what).join("; ");

describe("what a machine lacks", () => {
  it("is said of the runtime", async () => {
    assert.match(await found(null, cgroups(2)), /no OCI runtime/);
    assert.match(await found(answering("hello"), cgroups(2)), /does not answer/);
    assert.match(await found(answering("runc version 1.0.3"), cgroups(2)), /`runc 1.0.3` cannot bind/);
    assert.match(
      await found(answering("crun version 1.8.1"), cgroups(1, [], ["hugetlb"])),
      /`crun 1.8.1` refuses this machine's cgroup set-up \(`hugetlb` of version 2 beside version 1\)/,
    );
    assert.doesNotMatch(await found(answering("crun version 1.8.1"), cgroups(1)), /crun/);
    assert.doesNotMatch(await found(answering("crun version 1.8.1"), cgroups(2)), /crun/);
    assert.doesNotMatch(await found(answering("runc version 1.1.5+ds1"), cgroups(1)), /runc/);
  });

  it("is said of control groups and of the root file system", async () => {
    const runtime = answering("runc version 1.1.5");
    assert.match(await found(runtime, null), /no cgroup file system/);
    assert.match(await found(runtime, cgroups(2, ["pids"])), /controller `pids` is missing/);
    assert.match(await found(runtime, cgroups(2)), /root file system is not built/);
  });

  it("is said of everything that an ordinary user was not given, with the operator's command", async (t) => {
    t.mock.method(process as { getuid(): number }, "getuid", () => 54_321);
    for (const isolation of ["container", "gvisor"] as const) {
      const all = await shortfallsOf({ runtime: null, cgroups: cgroups(1), rootfs: folder, clock }, isolation);
      const text = all.map(({ what }) => what).join("; ");
      for (const part of [/not running as root/, /`\/etc\/subuid` has no ids for `54321`/, /control group/])
        assert.match(text, part);
    }
  });

  it("is said of isolation that this version cannot build, never a silent downgrade", async () => {
    for (const isolation of ["gvisor", "microvm"] as const) {
      const all = await shortfallsOf({ runtime: null, cgroups: null, rootfs: folder, clock }, isolation);
      assert.ok(all[0]?.what.includes(isolation));
    }
  });
});
