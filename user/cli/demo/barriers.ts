import type { Claim } from "./report.ts";

/** What kind of host-side observation speaks for or against an attempt. */
export type Area = "network" | "files" | "secrets" | "kernel" | "resources" | "permission" | "door" | "money";

export interface Barrier {
  readonly area: Area;
  readonly stoppedBy: string;
  readonly where: string;
  /** Where it has a request at the door: words by which its audit record is recognised. */
  readonly audited?: RegExp;
}

const SANDBOX = "mesh/sandbox";

/** By the words of the attempt's id and title, the first that fits. */
const barriers: readonly (readonly [RegExp, Barrier])[] = [
  [/spend|budget|wallet|cap\b|overspend/, { area: "money", stoppedBy: "ledger", where: "mesh/ledger", audited: /budget|exhaust|model/ }],
  [/secret|credential|environ|api.?key|memory.?image|canary|vault/, { area: "secrets", stoppedBy: "vault: no secret is inside", where: "mesh/vault" }],
  [/desk/, { area: "door", stoppedBy: "door: the desk has another socket", where: "mesh/door", audited: /not_found|not_allowed|malformed|desk|\/v1\/(status|credentials)/ }],
  [/smuggl|duplicate|proto|forge|spoof|identity|header/, { area: "door", stoppedBy: "door: the socket is the identity", where: "mesh/door", audited: /malformed|not_allowed|unsupported|unauthenticated/ }],
  [/other.?door|abstract|unix.?socket|another.*(door|socket)/, { area: "kernel", stoppedBy: "kernel: mount and network namespaces", where: SANDBOX }],
  [/board/, { area: "permission", stoppedBy: "policy", where: "mesh/policy", audited: /board/ }],
  [/message|peer/, { area: "permission", stoppedBy: "policy", where: "mesh/policy", audited: /message/ }],
  [/model/, { area: "permission", stoppedBy: "policy", where: "mesh/policy", audited: /model/ }],
  [/\btool|files?.read|output.write/, { area: "permission", stoppedBy: "policy", where: "mesh/policy", audited: /tool|files|output/ }],
  [/fork|pids?\b|process.?bomb/, { area: "resources", stoppedBy: "kernel: pids cgroup", where: SANDBOX }],
  [/memory.?bomb|oom/, { area: "resources", stoppedBy: "kernel: memory cgroup", where: SANDBOX }],
  [/disk|quota/, { area: "resources", stoppedBy: "kernel: size of the /data volume", where: SANDBOX }],
  [/tcp|udp|dns|ipv6|icmp|metadata|port|network|internet|socket/, { area: "network", stoppedBy: "kernel: network namespace", where: SANDBOX }],
  [/symlink|host.?file|read.*host|host.*read/, { area: "files", stoppedBy: "kernel: mount namespace", where: SANDBOX }],
  [/write|outside|readonly|read-only/, { area: "files", stoppedBy: "kernel: read-only root", where: SANDBOX }],
  [/mount|unshare|ptrace|mknod|device|kill|signal|proc|sys|namespace|keyctl|bpf|setuid|capab/, { area: "kernel", stoppedBy: "kernel: seccomp, no capabilities", where: SANDBOX }],
];

/** For an attempt that this version does not know: what its own evidence hints at. */
const hints: readonly (readonly [RegExp, Barrier])[] = [
  [/budget_exhausted|\b402\b/, { area: "money", stoppedBy: "ledger", where: "mesh/ledger" }],
  [/ENETUNREACH|EHOSTUNREACH|EAFNOSUPPORT|ENOTFOUND|EAI_AGAIN/, { area: "network", stoppedBy: "kernel: network namespace", where: SANDBOX }],
  [/EROFS/, { area: "files", stoppedBy: "kernel: read-only root", where: SANDBOX }],
  [/\bdenied\b|\b403\b/, { area: "permission", stoppedBy: "policy", where: "mesh/policy" }],
  [/malformed|\b40[045]\b|not_found/, { area: "door", stoppedBy: "door", where: "mesh/door" }],
];

const fence: Barrier = { area: "kernel", stoppedBy: "sandbox", where: SANDBOX };

export function barrierOf(claim: Pick<Claim, "id" | "title" | "evidence">): Barrier {
  const named = (words: string): Barrier | undefined => barriers.find(([pattern]) => pattern.test(words))?.[1];
  const hinted = hints.find(([pattern]) => pattern.test(claim.evidence))?.[1];
  // The id is the surer word; a title is prose and may mention several things.
  return named(claim.id.toLowerCase()) ?? named(claim.title.toLowerCase()) ?? hinted ?? fence;
}
