import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { limits } from "../../../protocol/limits.ts";
import { networkOf, relayContainerOf, type RelayPlan, volumeOf } from "./relay-container.ts";
import { topologyOf, wayOf } from "./topology.ts";

const linux = { OSType: "linux", OperatingSystem: "Debian GNU/Linux 12 (bookworm)" };
const desktop = { OSType: "linux", OperatingSystem: "Docker Desktop" };
const own = { installation: "abcdefgh", id: "a" };
const plan: RelayPlan = { ...own, hostId: 0x7000_0000, image: "sha256:0", way: wayOf(linux) };
const labels = { "dev.cordon.installation": "abcdefgh", "dev.cordon.sandbox": "a" };

describe("how a door gets into its container", () => {
  it("is a socket on an engine of this machine, unless relays are asked for, and a relay on Docker Desktop", () => {
    assert.deepEqual([topologyOf(linux, false), topologyOf(linux, true)], ["socket", "relay"]);
    assert.deepEqual([topologyOf(desktop, false), topologyOf({ OSType: "windows" }, false)], ["relay", "relay"]);
    // What does not say what it is is no engine of this machine.
    assert.equal(topologyOf({}, false), "relay");
  });
  it("leads to the gateway of an internal network here, and to the loopback of the machine outside from a Desktop", () => {
    assert.deepEqual(wayOf(linux), { internal: true, bindTo: null, host: null, extraHosts: [] });
    const { internal, bindTo, host, extraHosts } = wayOf(desktop);
    assert.deepEqual([internal, bindTo, host], [false, "127.0.0.1", "host.docker.internal"]);
    assert.deepEqual(extraHosts, ["host.docker.internal:host-gateway"]);
  });
});

describe("the container of a relay", () => {
  const container = relayContainerOf(plan);
  const { HostConfig: fence } = container;

  it("has the fence of a sandbox, its own limits, its own network, and no key in what the engine keeps", () => {
    assert.deepEqual([fence.CapDrop, fence.Privileged, fence.ReadonlyRootfs], [["ALL"], false, true]);
    assert.equal(fence.SecurityOpt[0], "no-new-privileges");
    assert.match(fence.SecurityOpt[1] ?? "", /^seccomp=\{"defaultAction":"SCMP_ACT_ERRNO"/);
    const { relayMemoryBytes, relayTasksMax } = limits.docker;
    assert.deepEqual(
      [fence.Memory, fence.MemorySwap, fence.PidsLimit],
      [relayMemoryBytes, relayMemoryBytes, relayTasksMax],
    );
    assert.deepEqual([fence.NetworkMode, container.Labels], ["cordon-abcdefgh-a.relay", labels]);
    assert.deepEqual(container.Cmd, ["/opt/cordon/agent/relay/main.js"]);
    assert.deepEqual([fence.LogConfig, container.OpenStdin, container.StdinOnce], [{ Type: "none" }, true, true]);
    for (const line of container.Env) assert.match(line, /^(HOSTNAME|PATH=\/bin|HOME=\/data|TMPDIR=\/tmp)$/);
  });

  it("is a user of its own, and shares with the sandbox a folder in memory, of the sandbox's group, closed to others", () => {
    assert.equal(container.User, `${0x7000_0000 + 1001}:${0x7000_0000 + 1001}`);
    const { DriverOpts: mount } = volumeOf(plan);
    assert.deepEqual([mount.type, mount.device], ["tmpfs", "tmpfs"]);
    const owners = `uid=${0x7000_0000 + 1001},gid=${0x7000_0000 + 1000}`;
    assert.equal(mount.o, `size=65536,nr_inodes=8,${owners},mode=2750,nosuid,nodev,noexec`);
  });

  it("stands alone in a network without a way out", () => {
    const network = networkOf(plan);
    assert.deepEqual([network.Internal, network.Attachable, network.EnableIPv6], [true, false, false]);
    assert.deepEqual(network.Labels, labels);
    assert.equal(networkOf({ ...plan, way: wayOf(desktop) }).Internal, false);
  });
});
