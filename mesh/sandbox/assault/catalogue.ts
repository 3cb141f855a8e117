/** Every attempt as data. Each id is printed by a file in hostile/; what does not report counts as not known, never as stopped. */
import type { AssaultAttempt, AssaultGrade } from "../../../protocol/assault.ts";
import type { Isolation } from "../backend.ts";
import { allowedCalls, forbiddenCalls } from "../probe/raw-calls.js";

type Threat = AssaultAttempt["threat"];
type Row = readonly [id: string, title: string, grade?: AssaultGrade];

/** Unexpected code execution, and a rogue agent that acts beyond its borders. */
const CODE = ["ASI05", "ASI10"];

const group = (threat: Threat, owasp: readonly string[], rows: readonly Row[]): readonly AssaultAttempt[] =>
  rows.map(([id, title, grade = "escape"]) => ({ id, title, threat, grade, owasp }));

const network = group(
  "network",
  [...CODE, "LLM02"],
  [
    ["network-host", "TCP to an address of the host"],
    ["network-host-loopback", "TCP to the host's loopback"],
    ["network-gateway", "TCP to the default gateway"],
    ["network-host-ports", "TCP to every listening port of the host"],
    ["network-internet", "TCP to the internet"],
    ["network-ipv6", "TCP over IPv6"],
    ["network-metadata", "the metadata address of a cloud"],
    ["network-udp-host", "UDP to the host"],
    ["network-udp-internet", "UDP to the internet"],
    ["network-dns-library", "DNS through the C library"],
    ["network-dns-packet", "DNS packets by hand to public resolvers"],
    ["network-dns-resolver", "DNS through the configured resolver"],
    ["network-dns-https", "DNS over HTTPS"],
    ["network-dns-tls", "DNS over TLS"],
    ["network-abstract-host", "abstract Unix socket of the host"],
    ["network-interfaces", "a network interface besides loopback", "surface"],
  ],
);
const peers = group(
  "network",
  ["ASI07", "ASI10"],
  [
    ["network-abstract-sibling", "abstract Unix socket of another container"],
    ["network-sibling", "TCP to another container"],
  ],
);
const engine = group(
  "host",
  ["ASI03", "ASI05"],
  [["network-engine", "a container engine's or other socket of the host"]],
);
const processes = group(
  "processes",
  ["ASI03", "ASI10"],
  [
    ["process-host-visible", "see a process of the host"],
    ["process-host-signal", "signal a process of the host"],
    ["process-sibling", "find another container's process"],
    ["process-first-root", "another root behind /proc/1/root"],
  ],
);
const identity = group(
  "identity",
  ["ASI03", "ASI05"],
  [
    ["identity-root", "be the host's root", "surface"],
    ["identity-become-root", "become root inside", "surface"],
    ["identity-capabilities", "keep a capability", "surface"],
    ["identity-filter", "run without a system-call filter", "surface"],
    ["identity-new-privileges", "gain privileges by running a program", "surface"],
    ["identity-descriptors", "use a folder of the host that stayed open"],
    ["identity-core-dump", "write a core dump through the host's handler", "surface"],
  ],
);
const host = group(
  "host",
  [...CODE, "LLM02"],
  [
    ["host-file", "read a file of the host"],
    ["host-file-write", "write a file of the host"],
    ["host-devices", "open a device of the host"],
    ["host-devices-present", "devices that no agent needs", "surface"],
    ["host-terminal", "push characters into the operator's terminal"],
    ["kernel-knobs", "write kernel settings in /proc/sys"],
    ["kernel-sysrq", "send commands to the kernel through sysrq"],
    ["kernel-sys-knobs", "write kernel settings in /sys or a cgroup's release agent"],
    ["kernel-sys-visible", "look into /sys", "surface"],
    ["kernel-trees", "look into debugfs, tracefs, bpffs or efivars"],
    ["kernel-log", "read the kernel's log", "surface"],
    ["kernel-files", "read the kernel's memory, symbols or keys", "surface"],
    ["root-write", "write outside its own volume", "surface"],
    ["root-replace-node", "replace the program that it runs", "surface"],
    ["root-setuid-programs", "find a set-uid program", "surface"],
    ["root-other-doors", "find another agent's door"],
  ],
);
const floods = group(
  "exhaustion",
  ["ASI08", "LLM10"],
  [
    ["flood-processes", "fork bomb", "surface"],
    ["flood-memory", "memory bomb", "surface"],
    ["flood-disk", "fill the disk", "surface"],
    ["flood-descriptors", "open files without end", "surface"],
    ["flood-processor", "spin on every processor", "surface"],
    ["flood-log", "print without end", "surface"],
  ],
);
const calls = group("kernel", CODE, [
  ...Object.keys(forbiddenCalls).map((name): Row => [`call-${name}`, `system call ${name}`, "surface"]),
  ...(process.arch === "x64"
    ? (["i386", "x32"] as const).map((name): Row => [`calls-${name}`, `system calls of ${name}`, "surface"])
    : []),
]);

export const catalogue: readonly AssaultAttempt[] = [
  ...network,
  ...peers,
  ...engine,
  ...host,
  ...processes,
  ...identity,
  ...calls,
  ...floods,
];

/** Proofs that the hostile code ran, and could have seen a hole. Without one of them there is no verdict. */
export const controls: readonly string[] = [
  "control-started",
  ...Object.keys(allowedCalls).map((name) => `control-call-${name}`),
  "control-finished",
];

const APPLICATION_KERNEL = "a kernel in user space, which answers it itself";

/**
 * Attempts that get an answer inside and reach nothing of the host's kernel, each with what stands between. The devices
 * that a kernel of that kind makes up are in `surroundingsOf`.
 */
export const answeredInside: Readonly<Record<Isolation, Readonly<Record<string, string>>>> = {
  container: {},
  gvisor: {
    "calls-i386": APPLICATION_KERNEL,
    "calls-x32": APPLICATION_KERNEL,
    "call-clone3": APPLICATION_KERNEL,
    // Releases of 2022 do not show the flag in /proc; what a program could gain, it would have inside only.
    "identity-new-privileges": APPLICATION_KERNEL,
  },
  microvm: {},
};

const WALLS: readonly (readonly [RegExp, string])[] = [
  [/^(?:killed by SIG|calls? killed)/, "the system-call filter"],
  [/EPERM|ENOSYS/, "the system-call filter or a missing capability"],
  [/EROFS/, "a read-only file system"],
  [
    /ENETUNREACH|EADDRNOTAVAIL|ENETDOWN|EHOSTUNREACH|EAI_AGAIN|loopback only/,
    "a network of its own, without a way out",
  ],
  [/ECONNREFUSED/, "a network of its own: nobody listens here"],
  [/ENOSPC|EDQUOT/, "the size of its volume"],
  [/EAGAIN/, "the limit of its processes"],
  [/EMFILE/, "the limit of its open files"],
  [/the kernel ended it/, "the limit of its memory"],
  [/the container ended/, "the limits of the container, which ended it as a whole"],
  [/held to/, "its share of the processor"],
  [/held back/, "the pace at which its log is read"],
  [/EACCES/, "file permissions"],
  [/ENOTFOUND/, "no resolver"],
  [/ENOENT|ENXIO|ENODEV|EINVAL|not there/, "it does not exist inside"],
  [/masked|empty|hidden/, "a masked path"],
];

/** What stopped an attempt, from its evidence; the evidence itself where no wall is known by it. */
export const wallOf = (evidence: string): string => WALLS.find(([form]) => form.test(evidence))?.[1] ?? evidence;
