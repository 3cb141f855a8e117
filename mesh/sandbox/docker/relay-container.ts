/** What a relay is made of, as bodies of the Engine API (1.41): pure functions, beside `containerOf`. */
import { sandboxPaths } from "../../../protocol/sandbox-paths.ts";
import { limits } from "../../../protocol/limits.ts";
import { CPU_PERIOD_US, fixedEnvironment, SANDBOX_UID } from "../bundle.ts";
import { runtimeProfiles } from "../runtime-profile.ts";
import { doorFolder, emptyFolders, fenceOf, LABEL_INSTALLATION, LABEL_SANDBOX } from "./container.ts";
import type { Way } from "./topology.ts";

/** In the sandbox's range of ids, and nobody in it: a relay can do nothing to its sandbox's processes, nor they to it. */
export const RELAY_UID = SANDBOX_UID + 1;

export interface RelayPlan {
  readonly installation: string;
  /** Of the sandbox. */
  readonly id: string;
  /** First id of the sandbox's host range. */
  readonly hostId: number;
  /** Id of the image of the agents' own root file system. */
  readonly image: string;
  readonly way: Way;
}

type Owner = Pick<RelayPlan, "installation" | "id">;

/** Of the volume, the network and, with an end that no sandbox's name can have, the container. */
export const relayName = ({ installation, id }: Owner): string => `cordon-${installation}-${id}.relay`;
const labelsOf = ({ installation, id }: Owner) => ({ [LABEL_INSTALLATION]: installation, [LABEL_SANDBOX]: id });

/** In memory, gone with its last user: the relay writes there, the sandbox's group reads, nobody else comes in. */
export function volumeOf(plan: RelayPlan) {
  const { relayFolderBytesMax: bytes, relayFolderFilesMax: files } = limits.docker;
  const [user, group] = [plan.hostId + RELAY_UID, plan.hostId + SANDBOX_UID];
  // Set-gid: what the relay makes there belongs to the sandbox's group, of which the relay itself is none.
  const options = `size=${bytes},nr_inodes=${files},uid=${user},gid=${group},mode=2750,nosuid,nodev,noexec`;
  return {
    Name: relayName(plan),
    Driver: "local",
    DriverOpts: { type: "tmpfs", device: "tmpfs", o: options },
    Labels: labelsOf(plan),
  };
}

/** Of this relay alone. */
export function networkOf(plan: RelayPlan) {
  return {
    Name: relayName(plan),
    CheckDuplicate: true,
    Driver: "bridge",
    Internal: plan.way.internal,
    Attachable: false,
    EnableIPv6: false,
    Options: { "com.docker.network.bridge.enable_icc": "false" },
    Labels: labelsOf(plan),
  };
}

export function relayContainerOf(plan: RelayPlan) {
  const { container } = runtimeProfiles;
  const user = plan.hostId + RELAY_UID;
  const { relayMemoryBytes, relayTasksMax } = limits.docker;
  return {
    Image: plan.image,
    Hostname: "relay",
    User: `${user}:${user}`,
    Entrypoint: [sandboxPaths.node],
    Cmd: [sandboxPaths.doorRelay],
    Env: ["HOSTNAME", ...Object.entries(fixedEnvironment).map(([name, value]) => `${name}=${value}`)],
    WorkingDir: "/",
    // Its orders, with the key, come this way and stand nowhere.
    AttachStdin: true,
    OpenStdin: true,
    StdinOnce: true,
    Tty: false,
    Healthcheck: { Test: ["NONE"] },
    Labels: labelsOf(plan),
    HostConfig: {
      ...fenceOf(container),
      Runtime: "runc",
      NetworkMode: relayName(plan),
      // It asks nobody for names.
      Dns: ["127.0.0.1"],
      DnsSearch: ["."],
      ExtraHosts: plan.way.extraHosts,
      Mounts: [doorFolder(relayName(plan), false)],
      Tmpfs: emptyFolders,
      Memory: relayMemoryBytes,
      MemorySwap: relayMemoryBytes,
      PidsLimit: relayTasksMax,
      // Until it is linked; then it has as much as its sandbox.
      CpuPeriod: CPU_PERIOD_US,
      CpuQuota: CPU_PERIOD_US,
    },
  };
}
