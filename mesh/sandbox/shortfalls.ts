/** What this machine lacks for a fence, each with the way to get it. */
import { access, constants, open, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../lib/clock.ts";
import type { Isolation, Shortfall } from "./backend.ts";
import type { Cgroups } from "./cgroup.ts";
import { SYSTEM_PATH } from "./process.ts";
import { userNamespace } from "./rootless/namespace.ts";
import { missingFor, missingInside } from "./rootless/requirements.ts";
import { type RuntimeProfile, runtimeProfiles } from "./runtime-profile.ts";
import type { Runtime } from "./runtime.ts";
import { seccompFor } from "./seccomp.ts";

const PROGRAMS: Readonly<Record<string, string>> = {
  "mkfs.ext4": "e2fsprogs",
  resize2fs: "e2fsprogs",
  mount: "mount",
  umount: "mount",
  losetup: "mount",
  mkfifo: "coreutils",
  chown: "coreutils",
  perl: "perl-base",
};

interface Machine {
  readonly runtime: Runtime | null;
  readonly cgroups: Cgroups | null;
  readonly rootfs: string;
  readonly clock: Clock;
}

export async function shortfallsOf(machine: Machine, isolation: Isolation): Promise<readonly Shortfall[]> {
  if (isolation === "microvm") {
    return [
      {
        what: "isolation `microvm` cannot be built by the oci backend",
        remedy: "set `isolation: gvisor` or `isolation: container`",
      },
    ];
  }
  const groups = await Promise.all([
    runtimeFaults(machine.runtime, machine.cgroups, runtimeProfiles[isolation]),
    cgroupFaults(machine.cgroups),
    userNamespaces(),
    ordinaryUser(machine.cgroups, isolation),
    hostShortfalls(machine.rootfs),
  ]);
  return groups.flat();
}

/** What every backend of this machine needs for the door, the volume and the root file system. */
export async function hostShortfalls(rootfs: string): Promise<readonly Shortfall[]> {
  const groups = await Promise.all([programs(), loopSupport(), rootfsFaults(rootfs)]);
  return [...platform(), ...groups.flat()];
}

function platform(): Shortfall[] {
  const found: Shortfall[] = [];
  if (process.platform !== "linux")
    found.push({ what: "sandboxes need Linux", remedy: "run Cordon on Linux, or in a Linux VM" });
  if (!seccompFor(process.arch)) {
    found.push({ what: `no system-call list for \`${process.arch}\``, remedy: "use an x86-64 or arm64 machine" });
  }
  return found;
}

/** Root needs none of this; an ordinary user's sandboxes keep the same fence by other means, or are refused. */
async function ordinaryUser(cgroups: Cgroups | null, isolation: Isolation): Promise<readonly Shortfall[]> {
  const namespace = userNamespace();
  if (namespace !== null) return missingInside(namespace, cgroups, isolation);
  const userId = process.getuid?.() ?? 0;
  if (userId === 0) return [];
  return [
    { what: "not running as root", remedy: "run the same command with `sudo`, or give this user what is named" },
    ...(await missingFor(userId)),
  ];
}

async function runtimeFaults(
  runtime: Runtime | null,
  cgroups: Cgroups | null,
  profile: RuntimeProfile,
): Promise<Shortfall[]> {
  if (runtime === null) {
    const needed = profile.isolation === "container" ? "" : `, which isolation \`${profile.isolation}\` needs`;
    const what = `no OCI runtime (${profile.programs.join(" or ")}) on PATH${needed}`;
    return [{ what, remedy: `run \`apt-get install ${profile.package}\`` }];
  }
  const version = await runtime.version();
  if (version === null) {
    const remedy = `run \`apt-get install --reinstall ${profile.package}\``;
    return [{ what: `\`${runtime.file}\` does not answer`, remedy }];
  }
  const [name, number] = version.split(" ");
  const [major = 0, minor = 0] = (number ?? "").split(".").map(Number);
  if (name === "runc" && (major < 1 || (major === 1 && minor < 1))) {
    return [{ what: `\`${version}\` cannot bind folders into a user namespace`, remedy: "install runc 1.1 or later" }];
  }
  // Its own words: "cgroups in hybrid mode not supported, drop all controllers from cgroupv2".
  if (name === "crun" && cgroups !== null && cgroups.mixed.length > 0) {
    const mixed = `\`${cgroups.mixed.join("`, `")}\` of version 2 beside version 1`;
    return [
      {
        what: `\`${version}\` refuses this machine's cgroup set-up (${mixed})`,
        remedy: "run `apt-get install runc`, or boot with `systemd.unified_cgroup_hierarchy=1` or `cgroup_no_v1=all`",
      },
    ];
  }
  return [];
}

async function cgroupFaults(cgroups: Cgroups | null): Promise<Shortfall[]> {
  if (cgroups === null)
    return [{ what: "no cgroup file system is mounted", remedy: "mount cgroup2 on `/sys/fs/cgroup`" }];
  const found = cgroups.missing.map((name) => ({
    what: `cgroup controller \`${name}\` is missing`,
    remedy: `enable \`${name}\` for the root group (kernel option \`cgroup_enable=${name}\`)`,
  }));
  const memory = cgroups.folder("memory", "/");
  const files: string[] = await readdir(memory).catch(() => []);
  const swapAccounting = cgroups.version === 2 || files.includes("memory.memsw.limit_in_bytes");
  if (!swapAccounting) found.push({ what: "swap is not accounted for", remedy: "boot with `swapaccount=1`" });
  return found;
}

async function userNamespaces(): Promise<Shortfall[]> {
  const allowed = Number(await readFile("/proc/sys/user/max_user_namespaces", "latin1").catch(() => "0"));
  if (allowed > 0) return [];
  return [{ what: "user namespaces are switched off", remedy: "run `sysctl user.max_user_namespaces=15000`" }];
}

async function programs(): Promise<Shortfall[]> {
  const found: Shortfall[] = [];
  for (const [name, from] of Object.entries(PROGRAMS)) {
    const places = SYSTEM_PATH.split(":").map((folder) => access(join(folder, name), constants.X_OK));
    if (
      await Promise.any(places).then(
        () => false,
        () => true,
      )
    ) {
      found.push({ what: `\`${name}\` is missing`, remedy: `run \`apt-get install ${from}\`` });
    }
  }
  return found;
}

async function loopSupport(): Promise<Shortfall[]> {
  if (process.getuid?.() !== 0 || userNamespace() !== null) return [];
  try {
    await (await open("/dev/loop-control", "r")).close();
    return [];
  } catch {
    return [
      {
        what: "loop devices cannot be had (`/dev/loop-control`)",
        remedy: "run `modprobe loop`; in a container, pass the device in",
      },
    ];
  }
}

async function rootfsFaults(rootfs: string): Promise<Shortfall[]> {
  // It is built by root, and that root is missing is said already.
  if (process.getuid?.() !== 0) return [];
  const ready = await access(join(rootfs, "bin/node"), constants.X_OK).then(
    () => true,
    () => false,
  );
  return ready
    ? []
    : [{ what: "the agents' root file system is not built", remedy: "run `cordon doctor`, which builds it" }];
}
