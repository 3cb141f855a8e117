import { createHash } from "node:crypto";
import { canonicalJson, type Json } from "../../../lib/json.ts";
import { definitionOf, type RunState } from "./state.ts";
import type { Workflow } from "../definition.ts";

/** A question to people. `hash` binds an answer to exactly this action of this attempt. */
export interface OpenApproval {
  readonly run: string;
  readonly task: string;
  readonly attempt: number;
  readonly hash: string;
  readonly action: Json;
  readonly roles: readonly string[];
  readonly expiresAtMs: number;
}

export function openApprovals(workflow: Workflow, state: RunState): OpenApproval[] {
  const open: OpenApproval[] = [];
  for (const [task, { phase, attempt, input, sinceMs }] of state.tasks) {
    const work = definitionOf(workflow, task)?.work;
    if (phase !== "running" || work?.kind !== "approve") continue;
    const hash = hashOf(state, task, attempt, input);
    const expiresAtMs = sinceMs + work.expiresMs;
    open.push({ run: state.run, task, attempt, hash, action: input, roles: work.roles, expiresAtMs });
  }
  return open;
}

const hashOf = ({ run, plan }: RunState, task: string, attempt: number, action: Json): string =>
  createHash("sha256").update(canonicalJson({ run, plan, task, attempt, action })).digest("hex");
