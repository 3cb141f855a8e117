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

const kernel = (area: Area, what: string): Barrier => ({ area, stoppedBy: `kernel: ${what}`, where: SANDBOX });
const door = (what: string, audited: RegExp): Barrier => ({ area: "door", stoppedBy: `door: ${what}`, where: "mesh/door", audited });
const policy = (audited: RegExp): Barrier => ({ area: "permission", stoppedBy: "policy", where: "mesh/policy", audited });

const namespaces = kernel("kernel", "mount and network namespaces");
const network = kernel("network", "network namespace");
const noCalls = kernel("kernel", "seccomp, no capabilities");
const secrets: Barrier = { area: "secrets", stoppedBy: "vault: no secret is inside", where: "mesh/vault" };
const identity = door("the socket is the identity", /"code":"malformed".*"verb":"message\.send"|"verb":"message\.send".*"code":"malformed"/);
const parser = door("one strict parser", /"code":"(malformed|method_not_allowed|unsupported)"/);
const ledger: Barrier = { area: "money", stoppedBy: "ledger", where: "mesh/ledger", audited: /budget_exhausted|"scope":"agent:intern"/ };

/** The attempts of examples/newsroom/intern, by id. */
const known: ReadonlyMap<string, Barrier> = new Map([
  ["secret-in-environment", secrets],
  ["secret-in-files", secrets],
  ["secret-in-own-memory", secrets],
  ["secret-in-init-memory", secrets],
  ["tcp-out", network],
  ["tcp-ipv6", network],
  ["udp-out", network],
  ["dns-servers", network],
  ["dns-system", network],
  ["metadata-address", network],
  ["host-ports", network],
  ["raw-sockets", noCalls],
  ["desk-routes", door("the desk has another socket", /"verb":"door\.request"/)],
  ["desk-socket", namespaces],
  ["other-door", namespaces],
  ["abstract-sockets", namespaces],
  ["board-read", policy(/"verb":"board\.read"/)],
  ["board-list", policy(/"verb":"board\.(list|read)"/)],
  ["board-write", policy(/"verb":"board\.write"/)],
  ["message-peer", policy(/"code":"denied".*"verb":"message\.send"|"verb":"message\.send".*"code":"denied"/)],
  ["other-model", policy(/"verb":"model\.call"/)],
  ["forge-headers", door("the socket is the identity", /"code":"unauthenticated"/)],
  ["forge-sender", identity],
  ["smuggle-request", parser],
  ["duplicate-keys", parser],
  ["write-outside", kernel("files", "read-only root")],
  ["read-host-files", kernel("files", "mount namespace")],
  ["symlink-trap", { ...policy(/"verb":"tool\.call"/), area: "files" }],
  ["mount", noCalls],
  ["unshare-namespaces", noCalls],
  ["ptrace", noCalls],
  ["mknod-device", noCalls],
  ["kernel-surface", noCalls],
  ["kill-outside", kernel("kernel", "pid namespace")],
  ["fork-bomb", kernel("resources", "pids cgroup")],
  ["memory-bomb", kernel("resources", "memory cgroup")],
  ["disk-bomb", kernel("resources", "size of the /data volume")],
  ["spend-past-cap", ledger],
]);

/** For an attempt that this version does not know: what its own evidence hints at. */
const hints: readonly (readonly [RegExp, Barrier])[] = [
  [/budget_exhausted|\b402\b/, ledger],
  [/ENETUNREACH|EHOSTUNREACH|EAFNOSUPPORT|ENOTFOUND|EAI_AGAIN/, network],
  [/EROFS/, kernel("files", "read-only root")],
  [/\bdenied\b|\b403\b/, policy(/"code":"denied"/)],
  [/malformed|\b40[045]\b|not_found/, parser],
];

const fence = kernel("kernel", "the fence of the sandbox");

export const barrierOf = (claim: Pick<Claim, "id" | "evidence">): Barrier =>
  known.get(claim.id) ?? hints.find(([pattern]) => pattern.test(claim.evidence))?.[1] ?? fence;
