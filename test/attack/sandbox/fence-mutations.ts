/**
 * The fence, one element after another taken away: what is changed in the source, and the test of a real sandbox that must
 * then fail. `fence-mutations.test.ts` does it. Nothing here may let a test do harm where the wall is gone: memory bombs end
 * by themselves, and what is planted points at files of the test's own.
 */

import { rootless } from "./fence-mutations-rootless.ts";

/** `from` occurs once in `file`. */
export interface Edit {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

export interface Mutation {
  readonly element: string;
  readonly edits: readonly Edit[];
  /** A file of tests, and a text in the full names of those that are run. */
  readonly caught: { readonly file: string; readonly name: string };
  /** What the element is about, when a kernel may lack it. */
  readonly path?: string;
}

const sandbox = (file: string, from: string, to: string): Edit => ({ file: `mesh/sandbox/${file}`, from, to });
const bundle = (from: string, to: string): Edit => sandbox("bundle.ts", from, to);

/** Without it the mesh would refuse to go on, and no hostile code would meet the hole. */
const unconfirmed = sandbox("local-backend.ts", "    await confirmFence(", "    return;\n    await confirmFence(");

const attack = (file: string, name: string) => ({ file: `test/attack/sandbox/${file}.test.ts`, name });
const contract = (file: string, name: string) => ({ file: `test/contract/sandbox-${file}.test.ts`, name });
const exhausts = (name: string) => attack("agent-exhausts-host", name);
const fence = (name: string) => contract("fence", name);
const faulty = (what: string) => contract("oci", `ends a sandbox that a faulty runtime built with ${what}`);
const smaller = contract("oci", "has each smaller limit as the kernel shows it inside");

const namespaces: readonly Mutation[] = [
  { name: "network", caught: attack("agent-reaches-network", "hostile code reaches for the network") },
  { name: "pid", caught: attack("agent-reaches-host", "hostile code reaches for the host") },
  { name: "ipc", caught: fence("every namespace of its own") },
  { name: "uts", caught: fence("every namespace of its own"), more: [bundle('    hostname: "sandbox",\n', "")] },
  { name: "mount", caught: fence("every namespace of its own") },
  { name: "cgroup", caught: fence("every namespace of its own") },
  {
    name: "user",
    caught: attack("agent-reaches-host", "hostile code reaches for the host"),
    more: [bundle("      uidMappings: mapping,\n      gidMappings: mapping,\n", "")],
  },
].map(({ name, caught, more = [] }) => ({
  element: `namespace: ${name}`,
  edits: [
    unconfirmed,
    bundle(
      `"user"].map((type) => ({ type })),`,
      `"user"].filter((type) => type !== "${name}").map((type) => ({ type })),`,
    ),
    ...more,
  ],
  caught,
}));

const exec = contract("oci", "runs an operator's command inside the same fence");
const privileges: readonly Mutation[] = [
  {
    element: "no capabilities",
    edits: [unconfirmed, bundle("const none: string[] = [];", 'const none: string[] = ["CAP_SETUID", "CAP_NET_RAW"];')],
    caught: exec,
  },
  {
    element: "no new privileges",
    edits: [
      unconfirmed,
      bundle("noNewPrivileges: true", "noNewPrivileges: false"),
      // With the filter as it is, runc cannot give up its capabilities so late.
      sandbox(
        "seccomp.ts",
        '    defaultAction: "SCMP_ACT_ERRNO",\n    defaultErrnoRet: EPERM,',
        '    defaultAction: "SCMP_ACT_ALLOW",',
      ),
    ],
    caught: exec,
  },
  {
    element: "user inside",
    edits: [unconfirmed, bundle("user: { uid: SANDBOX_UID", "user: { uid: 0")],
    caught: contract("oci", "runs the command as user 1000"),
  },
  { element: "umask", edits: [bundle("umask: 0o077, ", "")], caught: smaller },
  { element: "who is ended first without memory", edits: [bundle("      oomScoreAdj: 500,\n", "")], caught: smaller },
];

const kernel = attack("agent-reaches-kernel", "hostile code reaches for the kernel");
const call = (name: string) => attack("agent-reaches-kernel", `call ${name}`);
/** Behind the filter these meet a missing capability, or a setting of the system, so that no attack could tell. */
const listed = (name: string) => ({ file: "mesh/sandbox/seccomp.test.ts", name });
/** One more call that the filter lets through. */
const permit = (name: string, caught = call(name), word = name): Mutation => ({
  element: `filter: ${name}`,
  edits: [sandbox("seccomp.ts", "const files = `read write", `const files = \`${word} read write`)],
  caught,
});
const filter: readonly Mutation[] = [
  { element: "filter: all of it", edits: [unconfirmed, bundle("      seccomp,\n", "")], caught: kernel },
  {
    element: "filter: refuses what it does not list",
    edits: [
      sandbox(
        "seccomp.ts",
        '    defaultAction: "SCMP_ACT_ERRNO",\n    defaultErrnoRet: EPERM,',
        '    defaultAction: "SCMP_ACT_ALLOW",',
      ),
    ],
    caught: kernel,
  },
  {
    element: "filter: one architecture",
    edits: [
      sandbox("seccomp.ts", "architectures: [name],", 'architectures: [name, "SCMP_ARCH_X86", "SCMP_ARCH_X32"],'),
    ],
    caught: attack("agent-reaches-kernel", "calls of i386"),
  },
  {
    element: "filter: clone makes no namespace",
    edits: [sandbox("seccomp.ts", 'allow("clone", masked(0, CLONE_NAMESPACES, 0))', 'allow("clone")')],
    caught: call("clone_new_user"),
  },
  {
    element: "filter: clone3",
    edits: [
      sandbox(
        "seccomp.ts",
        'refused: { names: ["clone3"], action: "SCMP_ACT_ERRNO", errnoRet: ENOSYS },',
        'refused: allow("clone3"),',
      ),
    ],
    caught: call("clone3"),
  },
  {
    element: "filter: requests of ioctl",
    edits: [sandbox("seccomp.ts", '...IOCTLS.map((request) => allow("ioctl", equals(1, request)))', 'allow("ioctl")')],
    caught: call("ioctl_tiocsti"),
  },
  {
    element: "filter: options of prctl",
    edits: [sandbox("seccomp.ts", '...PRCTLS.map((option) => allow("prctl", equals(0, option)))', 'allow("prctl")')],
    caught: call("prctl_set_seccomp"),
  },
  {
    element: "filter: families of sockets",
    edits: [
      sandbox(
        "seccomp.ts",
        '  allow("socketpair", equals(0, AF_UNIX)),',
        '  allow("socket"),\n  allow("socketpair", equals(0, AF_UNIX)),',
      ),
    ],
    caught: call("socket_"),
  },
  {
    element: "filter: protocols of IP",
    edits: [
      sandbox(
        "seccomp.ts",
        "      [SOCK_DGRAM, IPPROTO_UDP],",
        "      [SOCK_DGRAM, IPPROTO_UDP],\n      [SOCK_DGRAM, 1],",
      ),
    ],
    caught: listed("makes sockets of three families"),
  },
  ...["io_uring_setup", "ptrace", "process_vm_readv", "kcmp", "bpf", "userfaultfd", "perf_event_open"].map((name) =>
    permit(name),
  ),
  ...["add_key", "keyctl", "memfd_create", "personality", "mknodat", "name_to_handle_at", "quotactl", "sync"].map(
    (name) => permit(name),
  ),
  permit("unshare_user", call("unshare_user"), "unshare"),
  ...["setns", "mount", "umount2", "open_tree", "chroot", "capset"].map((name) => permit(name)),
  ...["pivot_root", "fsopen", "setuid"].map((name) => permit(name, listed("lists nothing that reaches out"))),
];

/** Words of the list as it stands in the source, each with the one after it, so that no other word is meant. */
function masks(line: string): readonly Mutation[] {
  const words = line.split(" ");
  return words.map((word, n) => {
    const [from, to] = [
      n === 0 ? `"${words[0]} ` : ` ${word}${n === words.length - 1 ? '"' : " "}`,
      n === 0 ? '"' : n === words.length - 1 ? '"' : " ",
    ];
    return {
      element: `mask: /proc/${word}`,
      path: `/proc/${word}`,
      edits: [bundle(from, to)],
      caught: fence("covers each path"),
    };
  });
}
const paths: readonly Mutation[] = [
  ...masks(
    "acpi asound bus cmdline config.gz diskstats driver interrupts iomem ioports kallsyms kcore key-users keys kmsg",
  ),
  ...masks(
    "kpagecgroup kpagecount kpageflags latency_stats mdstat modules partitions sched_debug schedstat scsi slabinfo",
  ),
  ...masks("softirqs swaps sysrq-trigger timer_list timer_stats vmallocinfo zoneinfo"),
  { element: "mask: /dev/tty", edits: [bundle('"/dev/tty", "/sys"', '"/sys"')], caught: fence("covers each path") },
  { element: "mask: /sys", edits: [bundle('"/dev/tty", "/sys"', '"/dev/tty"')], caught: smaller },
  ...["fs", "irq", "sys", "tty"].map((name) => ({
    element: `read-only: /proc/${name}`,
    path: `/proc/${name}`,
    edits: [
      bundle(
        "      readonlyPaths,\n",
        `      readonlyPaths: readonlyPaths.filter((path) => path !== "/proc/${name}"),\n`,
      ),
    ],
    caught: fence("shows what turns the kernel for reading only"),
  })),
];

const noRootMount = sandbox(
  "runtime-profile.ts",
  'rootfsOptions: ["ro", "nosuid", "nodev"],',
  'rootfsOptions: ["nosuid", "nodev"],',
);
const tmp = 'tmpfs("/tmp", "nodev", "mode=1777", `size=${tmpBytesMax}`, `nr_inodes=${tmpFilesMax}`)';
const mounts: readonly Mutation[] = [
  {
    element: "read-only root, both walls",
    edits: [noRootMount, bundle("readonly: true", "readonly: false")],
    // Its files belong to nobody inside, which would stop a writer as well.
    caught: smaller,
  },
  {
    element: "read-only root: on the host",
    edits: [noRootMount],
    caught: fence("has the root read-only on the host already"),
  },
  {
    element: "read-only root: inside",
    edits: [bundle("readonly: true", "readonly: false")],
    caught: { file: "mesh/sandbox/bundle.test.ts", name: "has a read-only root" },
  },
  ...(["nosuid", "nodev"] as const).map((name) => ({
    element: `${name}: the root`,
    edits: [
      sandbox(
        "runtime-profile.ts",
        'rootfsOptions: ["ro", "nosuid", "nodev"],',
        `rootfsOptions: ["ro", "${name === "nodev" ? "nosuid" : "nodev"}"],`,
      ),
    ],
    caught: smaller,
  })),
  {
    element: "nosuid, nodev: /data",
    edits: [
      sandbox("reaper.pl", "$MS_NOSUID | $MS_NODEV | $MS_NOATIME", "$MS_NOATIME"),
      bundle('"bind", "nosuid", "nodev", ...options', '"bind", ...options'),
    ],
    caught: smaller,
  },
  {
    element: "nosuid, nodev: /data on the host",
    edits: [sandbox("reaper.pl", "$MS_NOSUID | $MS_NODEV | $MS_NOATIME", "$MS_NOATIME")],
    caught: fence("has the root read-only on the host already"),
  },
  {
    element: "nosuid: mounts of a folder",
    edits: [bundle('"bind", "nosuid", "nodev", ...options', '"bind", "nodev", ...options')],
    caught: smaller,
  },
  {
    element: "nodev: mounts of a folder",
    edits: [bundle('"bind", "nosuid", "nodev", ...options', '"bind", "nosuid", ...options')],
    caught: smaller,
  },
  {
    element: "nosuid: temporary file systems",
    edits: [bundle('options: ["nosuid", "noexec", ...options]', 'options: ["noexec", ...options]')],
    caught: smaller,
  },
  {
    element: "noexec: temporary file systems",
    edits: [bundle('options: ["nosuid", "noexec", ...options]', 'options: ["nosuid", ...options]')],
    caught: attack("agent-reaches-host", "run a program from /tmp"),
  },
  { element: "nodev: /tmp", edits: [bundle('tmpfs("/tmp", "nodev",', 'tmpfs("/tmp",')], caught: smaller },
  {
    element: "size: /tmp",
    edits: [bundle(tmp, tmp.replace(" `size=${tmpBytesMax}`,", ""))],
    caught: exhausts("memory bomb through /tmp"),
  },
  { element: "files: /tmp", edits: [bundle(tmp, tmp.replace(", `nr_inodes=${tmpFilesMax}`", ""))], caught: smaller },
  { element: "size and files: /dev", edits: [bundle(' "size=65536", "nr_inodes=64",', "")], caught: smaller },
  { element: "read-only: /dev", edits: [bundle('"nr_inodes=64", "ro"', '"nr_inodes=64"')], caught: smaller },
  {
    element: "/proc: nosuid, nodev, noexec",
    edits: [
      bundle('destination: "/proc", options: ["nosuid", "nodev", "noexec"]', 'destination: "/proc", options: []'),
    ],
    caught: smaller,
  },
  {
    element: "read-only: /code",
    edits: [bundle('sandboxPaths.code, "ro")', 'sandboxPaths.code, "rw")')],
    caught: contract("oci", "shows the code folder read-only"),
  },
  {
    element: "read-only, noexec: the door",
    edits: [bundle('sandboxPaths.door, "ro", "noexec")', "sandboxPaths.door)")],
    caught: smaller,
  },
  {
    element: "quota: /data",
    edits: [sandbox("volume.ts", "await handle.truncate(bytes);", "await handle.truncate(4 * bytes);")],
    caught: exhausts("disk bomb"),
  },
  {
    element: "files: /data",
    edits: [sandbox("volume.ts", "Math.floor(bytes / INODE_BYTES)", "8 * Math.floor(bytes / INODE_BYTES)")],
    caught: exhausts("inode bomb"),
  },
];

const limits: readonly Mutation[] = [
  {
    element: "limit: memory and swap",
    edits: [unconfirmed, bundle("    memory: { limit: memoryBytes, swap: memoryBytes },\n", "")],
    caught: exhausts("memory bomb: killed"),
  },
  {
    element: "limit: swap",
    edits: [unconfirmed, bundle(", swap: memoryBytes }", " }")],
    caught: fence("is held to its limits by the kernel"),
  },
  {
    element: "limit: processes",
    edits: [unconfirmed, bundle("    pids: { limit: pids + threadsOfKernel },\n", "")],
    caught: exhausts("fork bomb"),
  },
  {
    element: "limit: processor, after the burst",
    edits: [sandbox("running-sandbox.ts", "    void this.#endBurst();\n", "")],
    caught: fence("is held to its limits by the kernel"),
  },
  {
    element: "limit: processor, in the burst",
    edits: [bundle("      quota: Math.max(CPU_PERIOD_US, cpuQuotaUs(cpus)),\n", "")],
    caught: fence("is held to its limits by the kernel"),
  },
  {
    element: "limit: share of the processor among others",
    edits: [bundle("      shares: cpuShares(cpus * STARTING_SHARE),\n", "")],
    caught: fence("is held to its limits by the kernel"),
  },
  {
    element: "limit: devices",
    edits: [bundle('devices: [{ allow: false, access: "rwm" }]', 'devices: [{ allow: true, access: "rwm" }]')],
    caught: fence("is held to its limits by the kernel"),
  },
  {
    element: "limit: open files",
    edits: [bundle('  ["RLIMIT_NOFILE", limits.sandbox.openFilesMax],\n', "")],
    caught: exhausts("open-file bomb"),
  },
  { element: "limit: cores", edits: [bundle('  ["RLIMIT_CORE", 0],\n', "")], caught: exhausts("core dump") },
  ...["MEMLOCK", "MSGQUEUE", "RTPRIO", "NICE"].map((name) => ({
    element: `limit: ${name.toLowerCase()}`,
    edits: [
      bundle(
        `  ["RLIMIT_${name}", 0],\n`,
        name === "MEMLOCK" || name === "MSGQUEUE" ? "" : `  ["RLIMIT_${name}", 1],\n`,
      ),
    ],
    caught: smaller,
  })),
  {
    element: "limit: printed bytes",
    edits: [sandbox("output.ts", "  #unlimited = false;", "  #unlimited = true;")],
    caught: exhausts("log flood"),
  },
];

const identity: readonly Mutation[] = [
  {
    element: "id range: one a sandbox",
    edits: [
      sandbox(
        "id-range.ts",
        "return { slot, hostId: hostIdFirst + slot * hostIdsPerSandbox };",
        "return { slot, hostId: hostIdFirst };",
      ),
    ],
    caught: contract("oci", "gives the door to the sandbox's own host user"),
  },
  {
    element: "id range: claimed once",
    edits: [sandbox("id-range.ts", '=== "EEXIST") return false;', '=== "EEXIST") return true;')],
    caught: contract("oci", "gives a volume to its new host user"),
  },
  {
    element: "id range: given back last",
    edits: [
      sandbox(
        "dismantle.ts",
        "  const deadline = host.clock",
        "  for (const slot of (await claimsOf(host.places)).get(id) ?? []) await releaseIdRange(host.places, id, slot);\n  const deadline = host.clock",
      ),
    ],
    caught: contract("removal", "gives its users to nobody"),
  },
  {
    element: "id range: the volume follows",
    edits: [
      sandbox(
        "volume.ts",
        "else if (record?.slot !== range.slot) await giveTo",
        "else if (record?.slot === -1) await giveTo",
      ),
    ],
    caught: contract("oci", "gives a volume to its new host user"),
  },
  {
    element: "door: owner",
    edits: [sandbox("local-backend.ts", "    await chown(at.door,", "    if (range.slot < 0) await chown(at.door,")],
    caught: attack("agent-reaches-network", "control: the door answers"),
  },
  {
    element: "door: mode",
    edits: [sandbox("local-backend.ts", "await chmod(at.door, 0o600)", "await chmod(at.door, 0o666)")],
    caught: contract("oci", "gives the door to the sandbox's own host user"),
  },
];

const proc = (from: string, to: string): Edit => sandbox("proc.ts", from, to);
const group = (from: string, to: string): Edit => sandbox("cgroup.ts", from, to);
const confirmation: readonly Mutation[] = [
  {
    element: "confirmed: filter",
    edits: [proc('value("Seccomp") !== "2"', 'value("Seccomp") === "9"')],
    caught: faulty("no filter"),
  },
  {
    element: "confirmed: no new privileges",
    edits: [proc('value("NoNewPrivs") !== "1"', 'value("NoNewPrivs") === "9"')],
    caught: faulty("privileges to gain"),
  },
  { element: "confirmed: user", edits: [proc('      ["Uid", "user"],\n', "")], caught: faulty("another user") },
  { element: "confirmed: group", edits: [proc('      ["Gid", "group"],\n', "")], caught: faulty("another group") },
  {
    element: "confirmed: capabilities",
    edits: [proc("if (!/^0+$/.test(value(set)))", 'if (set === "")')],
    caught: faulty("a capability"),
  },
  {
    element: "confirmed: capabilities to pass on",
    edits: [proc('["CapInh", "CapPrm", "CapEff",', '["CapPrm", "CapEff",')],
    caught: faulty("a capability to pass on"),
  },
  ...[
    ["net", "the host's network"],
    ["ipc", "the host's shared memory"],
    ["uts", "the host's names"],
    ["cgroup", "the host's cgroups"],
  ].map(([name = "", what = ""]) => ({
    element: `confirmed: namespace ${name}`,
    edits: [proc("if (ours === theirs)", `if (ours === theirs && name !== "${name}")`)],
    caught: faulty(what),
  })),
  {
    element: "confirmed: memory cgroup of its own",
    edits: [
      group('if (!(await this.processes("memory")).includes(pid))', "if (pid < 0)"),
      group('if (!(await this.processes("pids")).includes(pid))', "if (pid < 0)"),
    ],
    caught: faulty("a cgroup of another name"),
  },
  {
    element: "confirmed: memory",
    edits: [group("if (!(memory > 0 && memory <= memoryBytes))", "if (memory < 0)")],
    caught: faulty("no limit of memory"),
  },
  {
    element: "confirmed: swap",
    edits: [group("if (!(swap <= (this.#v2 ? 0 : memoryBytes)))", "if (swap < 0)")],
    caught: faulty("no limit of swap"),
  },
  {
    element: "confirmed: processes",
    edits: [group('if (!((await read("pids", "pids.max", "pids.max")) <= pids))', "if (pids < 0)")],
    caught: faulty("no limit of processes"),
  },
];

const sweepAll = "oci backend: after kill -9 of the mesh";
const end: readonly Mutation[] = [
  {
    element: "end: the mesh's own killing",
    edits: [sandbox("dismantle.ts", "    for (const pid of await cgroup.processes()) kill(pid);\n", "")],
    caught: contract("removal", "is the mesh's own work"),
  },
  {
    element: "end: proved by the groups that stand",
    edits: [sandbox("dismantle.ts", "...(await cgroup.standing())", "")],
    caught: contract("removal", "is not there while a group of it stands"),
  },
  {
    element: "end: unmounted",
    edits: [sandbox("dismantle.ts", "    await unmountAll(at, attempt, host.clock);\n", "")],
    caught: contract("oci", "starts and stops many at once"),
  },
  {
    element: "end: the group is removed",
    edits: [sandbox("dismantle.ts", "    await cgroup.remove();\n", "")],
    caught: contract("removal", "is the mesh's own work"),
  },
  {
    element: "end: proved by what is left",
    edits: [sandbox("dismantle.ts", "if (left.length === 0) break;", "break;")],
    caught: contract("removal", "gives its users to nobody"),
  },
  {
    element: "end: SIGKILL after the grace",
    edits: [
      sandbox(
        "running-sandbox.ts",
        '10 : 100);\n      }\n      signalProcess(this.pid, this.startTime, "SIGKILL");\n',
        "10 : 100);\n      }\n",
      ),
      sandbox("dismantle.ts", "    for (const pid of await cgroup.processes()) kill(pid);\n", ""),
      sandbox("runtime.ts", '"delete", "--force", id', '"delete", id'),
    ],
    caught: contract("oci", "stops: SIGTERM first"),
  },
  {
    element: "end: told by the kernel (reaper)",
    edits: [sandbox("reaper.pl", "syscall($prctl, $PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0 or exit 3;", "")],
    caught: contract("oci", "reports the start and, last, the end"),
  },
  {
    element: "end: seen without the pipe (watch)",
    edits: [sandbox("watch.ts", "          watched.ended();\n", "")],
    caught: contract("oci", "reports the start and, last, the end"),
  },
  {
    element: "sweep: runtimes that go on alone",
    edits: [sandbox("sweep.ts", "  await endHelpers(host);\n", "")],
    caught: contract("oci", "ends a runtime of the dead mesh"),
  },
  {
    element: "sweep: sandboxes of a dead mesh",
    edits: [sandbox("sweep.ts", "    await dismantle(host, id, null);\n", "")],
    caught: contract("oci", sweepAll),
  },
  {
    element: "sweep: loop devices",
    edits: [sandbox("sweep.ts", "    await detachLoops(host);\n", "")],
    caught: contract("removal", "lets go of a loop device"),
  },
  {
    element: "sweep: no sandbox of this mesh",
    edits: [sandbox("sweep.ts", "    if (live.has(id)) continue;\n", "")],
    caught: contract("oci", "names the sandboxes it ended"),
  },
];

export const mutations: readonly Mutation[] = [
  ...[namespaces, privileges, filter, paths, mounts, limits, identity, confirmation, end, rootless].flat(),
];
