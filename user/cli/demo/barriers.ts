import type { AuditRow } from "../../../protocol/desk.ts";
import type { Claim } from "./report.ts";

/** What kind of host-side observation speaks for or against an attempt. */
export type Area = "network" | "files" | "secrets" | "kernel" | "resources" | "permission" | "door" | "money";

type Detail = AuditRow["detail"];

export interface Barrier {
  readonly area: Area;
  readonly stoppedBy: string;
  readonly where: string;
  /** Where it makes requests at the door: whether a refusal in the audit is one of its own. */
  readonly audited?: (refusal: Detail) => boolean;
}

const SANDBOX = "mesh/sandbox";

const kernel = (area: Area, what: string): Barrier => ({ area, stoppedBy: `kernel: ${what}`, where: SANDBOX });
const door = (what: string, audited: Barrier["audited"] & object): Barrier => ({
  area: "door",
  stoppedBy: `door: ${what}`,
  where: "mesh/door",
  audited,
});
const policy = (audited: Barrier["audited"] & object): Barrier => ({
  area: "permission",
  stoppedBy: "policy",
  where: "mesh/policy",
  audited,
});

const namespaces = kernel("kernel", "mount and network namespaces");
const network = kernel("network", "network namespace");
const noCalls = kernel("kernel", "seccomp, no capabilities");
const secrets: Barrier = { area: "secrets", stoppedBy: "vault: no secret is inside", where: "mesh/vault" };
const parser = door("one strict parser", ({ code }) => MISREAD.has(String(code)));
const ledger: Barrier = {
  area: "money",
  stoppedBy: "ledger",
  where: "mesh/ledger",
  audited: ({ code }) => code === "budget_exhausted" || code === "halted",
};
const MISREAD: ReadonlySet<string> = new Set(["malformed", "method_not_allowed", "unsupported", "too_large"]);

/** Denied by policy for one of these verbs or tools. */
const deniedTo = (...what: readonly string[]): Barrier =>
  policy(({ code, verb, tool }) => code === "denied" && (what.includes(String(verb)) || what.includes(String(tool))));

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
  [
    "desk-routes",
    door("the desk has another socket", ({ code, verb }) => code === "not_found" && verb === "door.request"),
  ],
  ["desk-socket", namespaces],
  ["other-door", namespaces],
  ["abstract-sockets", namespaces],
  ["board-read", deniedTo("board.read")],
  ["board-list", deniedTo("board.list", "board.read")],
  ["board-write", deniedTo("board.write")],
  ["message-peer", deniedTo("message.send")],
  ["other-model", deniedTo("model.call")],
  ["forge-headers", door("the socket is the identity", () => false)],
  [
    "forge-sender",
    door(
      "the socket is the identity",
      ({ code, verb, tool }) => code === "malformed" && [verb, tool].includes("message.send"),
    ),
  ],
  ["smuggle-request", parser],
  ["duplicate-keys", parser],
  ["write-outside", kernel("files", "read-only root")],
  ["read-host-files", kernel("files", "mount namespace")],
  ["symlink-trap", { ...deniedTo("files.read", "output.write"), area: "files" }],
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
  [/\bdenied\b|\b403\b/, policy(({ code }) => code === "denied")],
  [/malformed|\b40[045]\b|not_found/, parser],
];

const fence = kernel("kernel", "the fence of the sandbox");

export const barrierOf = (claim: Pick<Claim, "id" | "evidence">): Barrier =>
  known.get(claim.id) ?? hints.find(([pattern]) => pattern.test(claim.evidence))?.[1] ?? fence;
