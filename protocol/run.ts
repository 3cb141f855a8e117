/**
 * Runs of workflows at the desk:
 *
 *   POST /v1/runs                    RunInput -> {run, plan}       plans the file, and starts it if that is allowed
 *   GET  /v1/runs?before=ORDINAL     -> RunPage                    newest first
 *   GET  /v1/runs/{id}               -> RunDetail
 *   GET  /v1/runs/{id}/replay        -> ReplayVerdict              proves that it followed its plan
 *   GET  /v1/runs/{id}/trace         -> RunTrace
 *   GET  /v1/runs/{id}/journal       -> RunJournal
 *   POST /v1/runs/{id}/pause | cancel   {} -> 204
 *   POST /v1/runs/{id}/resume        ResumeInput -> 204            raises budgets, if that is what it waits for
 *   POST /v1/runs/{id}/retry         RetryInput -> 204             begins anew at a step
 *   POST /v1/runs/{id}/answer        AnswerInput -> 204            yes or no to exactly what was shown
 */
import { z } from "zod";
import type { Json } from "../lib/json.ts";
import { limits } from "./limits.ts";

/** `file` is an absolute path on the machine of the mesh. */
export const RunInput = z.strictObject({
  file: z.string().min(1).max(4_096).startsWith("/", "must be an absolute path"),
  input: z.json().optional(),
});
export interface RunInput {
  readonly file: string;
  readonly input?: Json | undefined;
}

/** What is added to the caps of the run, and of each step that is held for want of budget. */
export const ResumeInput = z.strictObject({
  tokens: z.int().min(0).max(limits.workflow.raiseTokensMax).optional(),
  microUsd: z.int().min(0).max(limits.workflow.raiseUsdMicrosMax).optional(),
});
export interface ResumeInput {
  readonly tokens?: number | undefined;
  readonly microUsd?: number | undefined;
}

export const RetryInput = z.strictObject({ from: z.string().min(1).max(limits.name.charsMax) });
export const AnswerInput = z.strictObject({
  task: z.string().min(1).max(128),
  hash: z.string().regex(/^[0-9a-f]{64}$/),
  approved: z.boolean(),
});

export interface RunSummary {
  readonly ordinal: number;
  readonly id: string;
  readonly workflow: string;
  readonly plan: string;
  readonly parent: string | null;
  readonly starter: string;
  readonly status: "running" | "paused" | "succeeded" | "failed" | "cancelled";
  readonly reason: string;
  readonly createdAtMs: number;
  readonly finishedAtMs: number | null;
}
export interface RunPage {
  readonly runs: readonly RunSummary[];
}

export interface RunDetail extends RunSummary {
  readonly seq: number;
  readonly output: Json;
  readonly tasks: readonly {
    readonly task: string;
    readonly phase: string;
    readonly attempt: number;
    readonly reason: string;
    readonly output: Json;
  }[];
  readonly approvals: readonly RunApproval[];
}

/** `action` is exactly what is said yes or no to, and `hash` binds the answer to it. */
export interface RunApproval {
  readonly run: string;
  readonly task: string;
  readonly hash: string;
  readonly action: Json;
  readonly roles: readonly string[];
  readonly expiresAtMs: number;
}

export type ReplayVerdict =
  | { readonly ok: true; readonly events: number; readonly decided: number; readonly status: string }
  | { readonly ok: false; readonly events: number; readonly badSeq: number; readonly fault: string };

/** In the order of a waterfall: what belongs to a span follows it, one deeper. */
export interface RunTrace {
  readonly run: RunSummary;
  readonly spans: readonly TraceSpan[];
}

/** Milliseconds from the start of the run that was asked for; `endMs` null = under way. */
export interface TraceSpan {
  readonly run: string;
  readonly task: string;
  readonly attempt: number;
  /** An attempt of a task, or a call that an agent made for it. */
  readonly kind: "step" | "model" | "tool";
  /** The task, the model or the tool. */
  readonly name: string;
  readonly depth: number;
  readonly startMs: number;
  readonly endMs: number | null;
  readonly end: string;
  readonly tokens: number;
  readonly microUsd: number;
}

export interface RunJournal {
  readonly plan: object;
  readonly entries: readonly object[];
}
