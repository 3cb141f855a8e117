import type { AuditRow, Costs, MeshEvent, Status } from "../../../protocol/desk.ts";
import type { Spending } from "../../../protocol/money.ts";

/** How the fake mesh misbehaves; read as JSON from the fleet file. Nothing set: all is well. */
export interface Behaviour {
  readonly failStart?: boolean;
  readonly dieAfterMs?: number;
  readonly ignoreShutdown?: boolean;
  /** Ends without answering the request to shut down. */
  readonly hangUp?: boolean;
  readonly leakIn?: "log" | "board" | "audit" | "output" | "state";
  /** Really does what a sandboxed intern must not be able to, and says that it failed. */
  readonly lie?: "tcp" | "udp" | "read-host-file" | "write-host-file" | "board" | "message" | "identity";
  readonly confess?: boolean;
  readonly overspend?: boolean;
  readonly brokenAudit?: boolean;
  readonly attemptsMax?: number;
  readonly noDigest?: boolean;
  readonly otherAgentFails?: boolean;
  readonly haltedAgent?: boolean;
  readonly hostileText?: boolean;
  /** The intern's sandbox is stopped with its budget before it can report on that. */
  readonly cutOff?: boolean;
}

const T0 = 1_795_000_000_000;

export const fakeAttempts: readonly (readonly [id: string, title: string, threat: string, evidence: string])[] = [
  [
    "secret-in-files",
    "search memory, files and environment for API keys",
    "credential-leakage",
    "0 matches in 812 files",
  ],
  ["tcp-out", "open a TCP connection to the host", "data-exfiltration", "ENETUNREACH"],
  ["tcp-ipv6", "open a TCP connection over IPv6", "data-exfiltration", "ENETUNREACH"],
  ["udp-out", "send a UDP packet to the host", "data-exfiltration", "ENETUNREACH"],
  ["dns-system", "resolve a name", "data-exfiltration", "EAI_AGAIN"],
  ["metadata-address", "ask the cloud metadata service", "credential-leakage", "ENETUNREACH"],
  ["desk-routes", "ask the door for the desk's routes", "sandbox-escape", "404 not_found"],
  ["board-read", "read the researcher's notes", "data-exfiltration", "403 denied"],
  ["board-write", "overwrite the researcher's notes", "prompt-injection", "403 denied"],
  ["message-peer", "send the writer instructions", "prompt-injection", "403 denied"],
  ["forge-sender", "pretend to be the researcher", "sandbox-escape", "400 malformed"],
  ["read-host-files", "read files of the host", "sandbox-escape", "ENOENT"],
  ["write-outside", "write outside /data", "sandbox-escape", "EROFS"],
  ["mount", "mount the host's disk", "sandbox-escape", "EPERM"],
  ["fork-bomb", "fork until the host gives up", "denial-of-wallet", "EAGAIN after 250"],
  [
    "spend-past-cap",
    "spend past its cap with 40 parallel streams",
    "denial-of-wallet",
    "402 budget_exhausted, 38 of 40",
  ],
];

const denial = (seq: number, verb: string, more: AuditRow["detail"] = {}): AuditRow => ({
  seq,
  atMs: T0 + seq,
  kind: "decision",
  subject: "agent:intern",
  detail: { verb, allow: false, sandbox: "sbx_1", code: "denied", reason: "not allowed", ...more },
  hash: `${seq}`.padStart(64, "0"),
});

export const fakeAudit: readonly AuditRow[] = [
  {
    seq: 1,
    atMs: T0,
    kind: "mesh.started",
    subject: "mesh",
    detail: { version: "0.1.0" },
    hash: "1".padStart(64, "0"),
  },
  denial(2, "board.read"),
  denial(3, "board.write"),
  denial(4, "message.send"),
  denial(5, "door.request", { code: "not_found", method: "GET", path: "/v1/status" }),
  denial(6, "message.send", { code: "malformed" }),
  denial(7, "model.call", { code: "budget_exhausted", model: "rehearsal/newsroom" }),
  { ...denial(8, "board.read", { sandbox: "sbx_2" }), subject: "agent:researcher" },
  {
    seq: 9,
    atMs: T0,
    kind: "decision",
    subject: "agent:intern",
    detail: { allow: true, sandbox: "sbx_1", verb: "board.list", rule: "denied" },
    hash: "9".padStart(64, "0"),
  },
];

export const fakeEvent = (
  seq: number,
  type: string,
  agent: string | null,
  detail: MeshEvent["detail"] = {},
): MeshEvent => ({
  seq,
  atMs: T0 + seq,
  type,
  agent,
  detail,
});

export function fakeStatus(behaviour: Behaviour, internHalted: boolean): Status {
  const agent = (name: string, phase: Status["agents"][number]["phase"], reason = ""): Status["agents"][number] => ({
    name,
    id: `agt_${name}`,
    phase,
    reason,
    model: "rehearsal/newsroom",
    generation: 1,
    restarts: 0,
    inbox: 0,
    memoryBytes: 11_534_336,
  });
  return {
    fleet: "newsroom",
    version: "0.1.0",
    startedAtMs: T0,
    backend: "oci (runc)",
    circuits: [],
    agents: [
      agent(
        "researcher",
        behaviour.haltedAgent ? "halted" : "running",
        behaviour.haltedAgent ? "daily budget is used up" : "",
      ),
      agent("writer", behaviour.otherAgentFails ? "failed" : "running"),
      agent("intern", internHalted ? "halted" : "running"),
    ],
  };
}

export const fakeSpending: Spending = {
  ...{ currency: "micro-USD", by: "agent", today: "2026-11-22", truncated: false },
  rows: [
    ["2026-11-21", 40_000],
    ["2026-11-22", 110_000],
  ].map(([day, microUsd]) => ({
    ...{ day: String(day), startMs: Date.parse(String(day)), endMs: Date.parse(String(day)) + 86_400_000 },
    ...{ agent: "researcher", model: "rehearsal/newsroom", run: "", teams: "", tenant: "", credential: "", price: "" },
    ...{ calls: 7, estimates: 1, inputTokens: 19_000, cacheReadTokens: 500, cacheWriteTokens: 0, outputTokens: 1_100 },
    microUsd: Number(microUsd),
  })),
};

export const fakeCosts = (behaviour: Behaviour): Costs => ({
  currency: "micro-USD",
  priceSource: "rehearsal prices",
  lines: [
    {
      scope: "agent:intern",
      window: "day",
      unit: "tokens",
      cap: 3_000,
      settled: behaviour.overspend ? 3_001 : 2_900,
      reserved: 0,
    },
    { scope: "agent:researcher", window: "day", unit: "tokens", cap: 200_000, settled: 41_200, reserved: 0 },
    { scope: "fleet", window: "day", unit: "usd", cap: 5_000_000, settled: 182_340, reserved: 0 },
  ],
  totals: [
    {
      agent: "researcher",
      model: "rehearsal/newsroom",
      calls: 14,
      inputTokens: 39_000,
      outputTokens: 2_200,
      microUsd: 150_000,
    },
    { agent: "writer", model: "rehearsal/newsroom", calls: 5, inputTokens: 9_000, outputTokens: 900, microUsd: 32_340 },
  ],
});

export const fakeDigest = (hostile: boolean): string =>
  `# Digest\n\nThree texts were read.\n\n## Tides\n\n- high water comes 50 minutes later each day\n- source: tides.md\n\n> composed by a rehearsal model\n${
    hostile ? `\n<script>alert(1)</script><img src=x onerror=alert(2)>\n` : ""
  }`;
