/** What the docker engine of this machine lacks for a fence, each with the way to get it. */
import { type Isolation, SandboxError, type Shortfall } from "../backend.ts";
import { userNamespace } from "../rootless/namespace.ts";
import { hostShortfalls } from "../shortfalls.ts";
import type { EngineInfo } from "./answers.ts";
import type { DockerEngine } from "./engine.ts";
import { engineInfo } from "./info.ts";
import { dockerProfiles } from "./profile.ts";
import { isDesktop } from "./topology.ts";

export async function dockerShortfalls(
  engine: DockerEngine,
  isolation: Isolation,
  rootfs: string,
): Promise<readonly Shortfall[]> {
  if (isolation === "microvm") {
    const what = "isolation `microvm` needs a Kata runtime, which this version has not been tried with";
    return [{ what, remedy: "set `isolation: gvisor` or `isolation: container`" }];
  }
  if (userNamespace() !== null || process.getuid?.() !== 0) {
    const what = "not running as root: the docker engine would act as root of the machine for an ordinary user's mesh";
    return [{ what, remedy: "run the same command with `sudo`, or use `backend: oci`" }];
  }
  let info: EngineInfo;
  try {
    info = await engineInfo(engine);
  } catch (error) {
    if (!(error instanceof SandboxError)) throw error;
    return [{ what: error.message, remedy: "run `apt-get install docker.io` and start the docker service" }];
  }
  return [...engineFaults(info), ...runtimeFaults(info, isolation), ...(await hostShortfalls(rootfs))];
}

function engineFaults(info: EngineInfo): Shortfall[] {
  const found: Shortfall[] = [];
  if (isDesktop(info)) {
    found.push({
      what: "the docker engine runs in a machine of its own (Docker Desktop): doors would go through relays, but a /data of a size that holds and the kernel's own word on the fence are not to be had there",
      remedy: "use a docker engine on the same Linux machine, or run Cordon in a virtual machine with Linux",
    });
  }
  const options = info.SecurityOptions ?? [];
  if (!options.some((option) => option.startsWith("name=seccomp"))) {
    found.push({ what: "the docker engine has no seccomp", remedy: "use an engine built with seccomp" });
  }
  for (const [option, why] of [
    ["name=userns", "maps users for all containers alike (userns-remap)"],
    ["name=rootless", "is rootless"],
  ] as const) {
    if (!options.some((each) => each.startsWith(option))) continue;
    const what = `the docker engine ${why}, and sandboxes would share their users with one another`;
    found.push({ what, remedy: "use an engine without it, or `backend: oci`" });
  }
  for (const [key, what] of [
    ["MemoryLimit", "memory"],
    ["SwapLimit", "swap"],
    ["PidsLimit", "processes"],
    ["CpuCfsQuota", "processor time"],
  ] as const) {
    if (info[key] !== true) {
      found.push({
        what: `the docker engine cannot limit ${what}`,
        remedy: "enable that cgroup controller on the host",
      });
    }
  }
  return found;
}

function runtimeFaults(info: EngineInfo, isolation: Exclude<Isolation, "microvm">): Shortfall[] {
  const { runtimes, remedy } = dockerProfiles[isolation];
  if (runtimes.some((name) => Object.hasOwn(info.Runtimes ?? {}, name))) return [];
  return [{ what: `the docker engine has no runtime \`${runtimes.join("` or `")}\``, remedy }];
}
