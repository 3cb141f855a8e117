/**
 * The border between people and the mesh: HTTP/1.1 on a Unix socket in the state folder (mode 0600)
 * and, if asked for, on a loopback port. Every request carries `Authorization: Bearer TOKEN`;
 * there is no route that answers without one.
 *
 *   GET  /v1/status                          -> Status
 *   GET  /v1/costs                           -> Costs
 *   GET  /v1/events?after=SEQ&wait_ms=N      -> EventPage        what happens, for progress displays
 *   GET  /v1/audit?after=SEQ&limit=N         -> AuditPage        records, oldest first
 *   GET  /v1/audit/verify                    -> AuditVerdict
 *   GET  /v1/board?match=GLOB                -> BoardPage
 *   GET  /v1/agents/{name}/logs?lines=N      -> LogPage
 *   POST /v1/agents/{name}/messages          {body, conversation?} -> {id, conversation}
 *   GET  /v1/replies/{conversation}?after=SEQ&wait_ms=N -> 200 Reply | 204   the oldest after SEQ (0: the first)
 *   POST /v1/agents/{name}/exec              {command: [...]} -> ExecResult     operator only, audited
 *   POST /v1/agents/{name}/start | stop      {} -> 204
 *   GET  /v1/credentials                     -> CredentialPage   names and metadata, never a value
 *   POST /v1/credentials                     CredentialInput -> 204
 *   POST /v1/credentials/{name}/revoke       {} -> 204
 *   POST /v1/credentials/{name}/login        LoginInput -> LoginStart   for a credential that OAuth keeps
 *   POST /v1/logins/{state}                  LoginCode -> 204
 *   GET  /v1/credential-uses                 -> CredentialUsage  who has used what, where
 *   POST /v1/vault/rotate                    {} -> 204           a new master key
 *   POST /v1/hooks/{name}                    HookInput -> {message}   a webhook as it came; also with the hook token
 *   POST /v1/shutdown                        {} -> 204           stops every sandbox, then the mesh
 */
import { z } from "zod";
import type { Label } from "./label.ts";
import { limits } from "./limits.ts";

export const deskFiles = {
  /** In the state folder. The token is 43 characters of base64url, file mode 0600. */
  socket: "desk.sock",
  token: "desk.token",
  /** Opens `POST /v1/hooks/{name}` and nothing else: for the listener that faces the outside. */
  hookToken: "hooks.token",
} as const;

export type AgentPhase = "starting" | "running" | "stopped" | "asleep" | "halted" | "failed";

export interface AgentStatus {
  readonly name: string;
  readonly id: string;
  readonly phase: AgentPhase;
  /** Why it is not running, or empty. */
  readonly reason: string;
  readonly model: string;
  readonly generation: number;
  readonly restarts: number;
  /** Deliveries not yet settled. */
  readonly inbox: number;
  readonly memoryBytes: number | null;
  /** Absent: it has none. */
  readonly tenant?: string;
}

export interface Status {
  readonly fleet: string;
  readonly version: string;
  readonly startedAtMs: number;
  readonly backend: string;
  readonly agents: readonly AgentStatus[];
  /** Models that failed too often with a credential, and are passed over for now where another can answer. */
  readonly circuits: readonly {
    readonly provider: string;
    readonly model: string;
    readonly credential: string | null;
  }[];
}

/**
 * One budget: usd are micro-USD, the other units are counts; `cap` null = none set. Invariant: settled + reserved <= cap.
 * `scope`: `fleet`, `team:NAME`, `tenant:NAME`, `agent:NAME`, `run:ID`, `step:RUN/STEP`, or one of these, `>` and a
 * destination. `window`: `day`, `month`, `run` (never resets) or `rolling:MILLISECONDS`.
 */
export interface BudgetLine {
  readonly scope: string;
  readonly window: string;
  readonly unit: "tokens" | "usd" | "requests" | "bytes";
  readonly cap: number | null;
  readonly settled: number;
  readonly reserved: number;
}
export interface Costs {
  readonly currency: "micro-USD";
  readonly priceSource: string;
  readonly lines: readonly BudgetLine[];
  /** Since the state was made, by agent and model. */
  readonly totals: readonly {
    readonly agent: string;
    readonly model: string;
    readonly calls: number;
    readonly inputTokens: number;
    readonly outputTokens: number;
    readonly microUsd: number;
  }[];
  /** The same by scope: the fleet, teams, tenants and agents. */
  readonly scopes?: readonly {
    readonly scope: string;
    readonly model: string;
    readonly calls: number;
    readonly inputTokens: number;
    readonly outputTokens: number;
    readonly microUsd: number;
  }[];
}

export interface MeshEvent {
  readonly seq: number;
  readonly atMs: number;
  /** For example `sandbox.started`, `sandbox.awake` (its first request at its door), `sandbox.oom`, `call.denied`, `budget.exhausted`, `budget.warning`, `board.written`. */
  readonly type: string;
  readonly agent: string | null;
  readonly detail: Readonly<Record<string, string | number | boolean | null>>;
}
export interface EventPage {
  readonly events: readonly MeshEvent[];
  readonly next: number;
}

export interface AuditRow {
  readonly seq: number;
  readonly atMs: number;
  readonly kind: string;
  readonly subject: string;
  readonly detail: Readonly<Record<string, unknown>>;
  readonly hash: string;
}
export interface AuditPage {
  readonly records: readonly AuditRow[];
  readonly next: number;
}
export type AuditVerdict =
  | { readonly ok: true; readonly records: number; readonly checkpoints: number; readonly head: string }
  | { readonly ok: false; readonly records: number; readonly badSeq: number; readonly fault: string };

export interface BoardPage {
  readonly rows: readonly {
    readonly key: string;
    readonly version: number;
    readonly writer: string;
    readonly label: Label;
    readonly value: string;
  }[];
}
export interface LogPage {
  readonly lines: readonly string[];
}

export const MessageInput = z.strictObject({
  body: z.string().min(1).max(limits.message.bodyBytesMax),
  conversation: z
    .string()
    .regex(/^[a-z]{2,8}_[a-z0-9]{1,40}$/)
    .optional(),
});
export interface Reply {
  /** Order within the conversation; pass it as `after` to get the next one. */
  readonly seq: number;
  readonly from: string;
  readonly body: string;
  readonly label: Label;
  readonly sentAtMs: number;
}

export const ExecInput = z.strictObject({ command: z.array(z.string().max(4096)).min(1).max(256) });
export interface ExecResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly truncated: boolean;
}

/** A delivery of a webhook as it came in: header names in lower case, the body in base64. */
export const HookInput = z.strictObject({
  headers: z.record(z.string().max(64), z.string().max(limits.hook.headerBytesMax)),
  bodyBase64: z.base64().max(Math.ceil(limits.hook.bodyBytesMax / 3) * 4),
});
