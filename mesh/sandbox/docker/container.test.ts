import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { SandboxSpec } from "../backend.ts";
import { placesOf, sandboxPlacesOf } from "../places.ts";
import { containerOf, LABEL_INSTALLATION, LABEL_SANDBOX } from "./container.ts";
import { dockerProfiles } from "./profile.ts";

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
const at = sandboxPlacesOf(placesOf("abcdefgh", "/s"), "a");
const { profile } = dockerProfiles.container;
const image = { image: "sha256:0", runtime: "runc", profile };
const plan = { spec, at, installation: "abcdefgh", ...image, hostId: 0x7000_0000, doorVolume: null };
const container = containerOf({ ...plan, codeFolder: "/c" });
const { HostConfig: host } = container;

describe("the container", () => {
  it("has no network, no resolver of the host, no shared memory and a cgroup namespace of its own", () => {
    assert.deepEqual([host.NetworkMode, host.IpcMode, host.CgroupnsMode], ["none", "none", "private"]);
    assert.deepEqual([host.Dns, host.DnsSearch, container.NetworkDisabled], [["127.0.0.1"], ["."], true]);
  });
  it("runs as its own unprivileged host user, without a capability, with our filter and no new privileges", () => {
    assert.equal(container.User, `${0x7000_0000 + 1000}:${0x7000_0000 + 1000}`);
    assert.deepEqual([host.CapDrop, host.Privileged], [["ALL"], false]);
    const [privileges, filter = ""] = host.SecurityOpt;
    assert.equal(privileges, "no-new-privileges");
    assert.match(filter, /^seccomp=\{"defaultAction":"SCMP_ACT_ERRNO"/);
  });
  it("has a read-only root, masked paths, and writes nowhere but to /data and /tmp", () => {
    assert.equal(host.ReadonlyRootfs, true);
    for (const path of ["/proc/kcore", "/proc/sysrq-trigger", "/sys"]) assert.ok(host.MaskedPaths.includes(path), path);
    assert.ok(host.ReadonlyPaths.includes("/proc/sys"));
    const mounts = host.Mounts as { Target: string; ReadOnly: boolean }[];
    assert.deepEqual(
      mounts.map(({ Target, ReadOnly }) => [Target, ReadOnly]),
      [
        ["/data", false],
        ["/run/cordon/door.sock", true],
        ["/code", true],
      ],
    );
    for (const [path, options] of Object.entries(host.Tmpfs)) {
      assert.match(options, /nosuid,nodev,noexec/);
      assert.match(options, path === "/tmp" ? /^rw,.*size=\d+,nr_inodes=\d+$/ : /^ro,/);
    }
  });
  it("limits memory without swap, processes, processor time, open files and cores", () => {
    assert.deepEqual([host.Memory, host.MemorySwap, host.PidsLimit], [2 ** 27, 2 ** 27, 7]);
    assert.deepEqual([host.CpuPeriod, host.CpuQuota], [100_000, 100_000]);
    const cores = host.Ulimits.find(({ Name }) => Name === "core");
    assert.deepEqual(cores, { Name: "core", Soft: 0, Hard: 0 });
    assert.ok(host.Ulimits.some(({ Name, Hard }) => Name === "nofile" && Hard > 0));
  });
  it("is labelled with its installation, keeps no log and is never started again by the engine", () => {
    assert.deepEqual(container.Labels, { [LABEL_INSTALLATION]: "abcdefgh", [LABEL_SANDBOX]: "a" });
    assert.deepEqual([host.LogConfig, host.RestartPolicy], [{ Type: "none" }, { Name: "no" }]);
  });
  it("finds a door that goes through a relay in a folder that it cannot write to, and nothing of the host there", () => {
    const [, door] = containerOf({ ...plan, doorVolume: "v", codeFolder: null }).HostConfig.Mounts;
    const options = { ReadOnly: true, VolumeOptions: { NoCopy: true } };
    assert.deepEqual(door, { Type: "volume", Source: "v", Target: "/run/cordon", ...options });
  });
  it("leaves room for the threads of an application kernel, and hides its /sys", () => {
    const strong = containerOf({ ...plan, profile: dockerProfiles.gvisor.profile, codeFolder: null }).HostConfig;
    assert.ok(strong.PidsLimit > 7);
    assert.match((strong.Tmpfs as Record<string, string>)["/sys"] ?? "", /^ro,/);
  });
});
