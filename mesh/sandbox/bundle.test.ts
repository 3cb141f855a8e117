import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { bundleOf, cpuQuotaUs } from "./bundle.ts";
import type { SandboxSpec } from "./backend.ts";
import { placesOf, sandboxPlacesOf } from "./places.ts";
import { type RuntimeProfile, runtimeProfiles } from "./runtime-profile.ts";

const spec: SandboxSpec = {
  id: "a",
  isolation: "container",
  volume: "v",
  limits: { memoryBytes: 2 ** 27, cpus: 0.15, pids: 7, diskBytes: 2 ** 24 },
  command: ["/bin/node", "x"],
  environment: { A: "1" },
  codeFolder: null,
  door: { listen: async () => undefined, close: async () => undefined },
};
interface Bundle {
  root: { readonly: boolean };
  process: {
    user: object;
    noNewPrivileges: boolean;
    capabilities: Record<string, string[]>;
    env: string[];
    rlimits: { type: string; hard: number }[];
  };
  mounts: { destination: string; options: string[] }[];
  linux: {
    namespaces: { type: string; path?: string }[];
    uidMappings: object[];
    resources: { memory: object; pids: object; cpu: object; devices: object[] };
    seccomp: { defaultAction: string; architectures: string[] };
    maskedPaths: string[];
    readonlyPaths: string[];
  };
}
const bundle = (code: string | null = null, profile: RuntimeProfile = runtimeProfiles.container) =>
  bundleOf(spec, sandboxPlacesOf(placesOf("abcdefgh", "/s"), "a"), 0x7000_0000, code, profile) as Bundle;

describe("the bundle", () => {
  it("has every namespace of its own and joins none", () => {
    assert.deepEqual(
      bundle()
        .linux.namespaces.map((n) => n.type)
        .toSorted(),
      ["cgroup", "ipc", "mount", "network", "pid", "user", "uts"],
    );
    assert.ok(bundle().linux.namespaces.every((n) => n.path === undefined));
  });
  it("maps ids to an unprivileged range and drops every capability", () => {
    assert.deepEqual(bundle().linux.uidMappings, [{ containerID: 0, hostID: 0x7000_0000, size: 2048 }]);
    assert.deepEqual(new Set(Object.values(bundle().process.capabilities).flat()), new Set());
    assert.equal(Object.keys(bundle().process.capabilities).length, 5);
    assert.equal(bundle().process.noNewPrivileges, true);
  });
  it("has a read-only root, no /sys, no cgroup file system, and nodev, nosuid on every mount that is not /dev", () => {
    assert.equal(bundle("/c").root.readonly, true);
    const { mounts } = bundle("/c");
    assert.deepEqual(
      mounts.map((m) => m.destination),
      ["/proc", "/dev", "/tmp", "/data", "/run/cordon/door.sock", "/code"],
    );
    for (const mount of mounts) {
      assert.ok(mount.options.includes("nosuid"), mount.destination);
      if (mount.destination !== "/dev") assert.ok(mount.options.includes("nodev"), mount.destination);
      if (/tmp|dev|proc|door/.test(mount.destination)) assert.ok(mount.options.includes("noexec"), mount.destination);
      if (/code|door|dev/.test(mount.destination)) assert.ok(mount.options.includes("ro"), mount.destination);
    }
    assert.ok(mounts[2]?.options.some((o) => o.startsWith("size=")));
    // A kernel in user space has one of its own, which masking does not cover.
    const covered = bundle(null, runtimeProfiles.gvisor).mounts.find(({ destination }) => destination === "/sys");
    assert.ok(covered?.options.includes("ro"));
    const { maskedPaths, readonlyPaths, resources } = bundle().linux;
    for (const path of ["/proc/kcore", "/proc/keys", "/proc/sysrq-trigger", "/dev/tty", "/sys"]) {
      assert.ok(maskedPaths.includes(path), path);
    }
    for (const path of ["/proc/sys", "/proc/irq", "/proc/fs"]) assert.ok(readonlyPaths.includes(path), path);
    assert.deepEqual(resources.devices, [{ allow: false, access: "rwm" }]);
  });
  it("limits memory without swap, processes, cores and locked memory", () => {
    assert.deepEqual(bundle().linux.resources.memory, { limit: 2 ** 27, swap: 2 ** 27 });
    assert.deepEqual(bundle().linux.resources.pids, { limit: 7 });
    // A whole core at the start; among others by its share from the start.
    assert.deepEqual(bundle().linux.resources.cpu, { period: 100_000, quota: 100_000, shares: 38 });
    const none = ["CORE", "MEMLOCK", "MSGQUEUE", "RTPRIO", "NICE"].map((name) => [`RLIMIT_${name}`, 0] as const);
    assert.deepEqual(
      new Map(bundle().process.rlimits.map(({ type, hard }) => [type, hard])),
      new Map([["RLIMIT_NOFILE", 1024], ...none]),
    );
    const of = (type: string) => bundle().process.rlimits.find((r) => r.type === type)?.hard;
    assert.deepEqual([of("RLIMIT_CORE"), of("RLIMIT_MEMLOCK"), of("RLIMIT_NOFILE")], [0, 0, 1024]);
    assert.deepEqual(bundle().linux.resources.devices, [{ allow: false, access: "rwm" }]);
  });
  it("refuses system calls by default, for one architecture", () => {
    assert.equal(bundle().linux.seccomp.defaultAction, "SCMP_ACT_ERRNO");
    assert.equal(bundle().linux.seccomp.architectures.length, 1);
  });
  it("never gives less than the kernel's smallest processor share", () => {
    assert.deepEqual([cpuQuotaUs(0.15), cpuQuotaUs(0.001), cpuQuotaUs(2)], [15_000, 1_000, 200_000]);
  });
});
