import { canonicalJson } from "../../../lib/json.ts";
import type { Plan, Workflow } from "../definition.ts";
import { digestOfPlan } from "../plan-digest.ts";
import { advance, unborn } from "./advance.ts";
import { decideNext } from "./decide-next.ts";
import type { Decided, Entry } from "./event.ts";
import type { Language } from "./language.ts";
import { workflowAt } from "./plan-check.ts";
import { definitionOf, finished, type RunState } from "./state.ts";

export type ReplayVerdict =
  | { readonly ok: true; readonly events: number; readonly decided: number; readonly status: RunState["status"] }
  | { readonly ok: false; readonly events: number; readonly badSeq: number; readonly fault: string };

const DECIDED: ReadonlySet<string> = new Set([
  "step.started",
  "step.skipped",
  "step.concluded",
  "step.broken",
  "step.cancelled",
  "run.finished",
] satisfies Decided["kind"][]);

/**
 * Walks a journal again without any effect. Every transition must follow: what the engine has decided from the plan and
 * the results recorded before it, to the last byte; what was reported or said, from a state in which it can be.
 */
export function replay(plan: Plan, journal: readonly Entry[], language: Language): ReplayVerdict {
  const bad = (badSeq: number, fault: string): ReplayVerdict => ({ ok: false, events: journal.length, badSeq, fault });
  if (digestOfPlan(plan) !== plan.digest) return bad(0, "the plan does not have its digest");
  const first = journal[0]?.event;
  if (first?.kind !== "run.started") return bad(1, "a journal begins with the start of its run");
  if (first.plan !== plan.digest) return bad(1, "the run was started from another plan");
  const workflow = workflowAt(plan, first.path);
  if (!workflow) return bad(1, `the plan has no workflow at \`${first.path}\``);
  const misfit = language.misfit(workflow.input, first.input);
  if (misfit) return bad(1, `the input does not fit: ${misfit}`);
  let state = unborn;
  // What follows at once was found together; it is looked for again when something else has happened in between.
  let following = new Set<string>();
  let decided = 0;
  for (const [index, entry] of journal.entries()) {
    const { event } = entry;
    const seq = index + 1;
    try {
      if (DECIDED.has(event.kind)) {
        const text = withoutEffect(event as Decided);
        if (!following.delete(text)) {
          following = new Set(decideNext(workflow, state, entry.atMs, language).events.map(withoutEffect));
          if (!following.delete(text)) return bad(seq, divergence(event as Decided, following));
        }
        decided++;
      } else {
        following = new Set();
        const fault = unfit(workflow, entry, language);
        if (fault) return bad(seq, fault);
      }
      state = advance(workflow, state, entry);
    } catch (error) {
      return bad(
        seq,
        `\`${event.kind}\` cannot follow here: ${error instanceof Error ? error.message : "unknown fault"}`,
      );
    }
  }
  // An open run may have been written up to anywhere; one that has ended has nothing left to do.
  if (finished(state) && decideNext(workflow, state, state.atMs, language).events.length > 0)
    return bad(journal.length, "something is left to do after the end");
  return { ok: true, events: journal.length, decided, status: state.status };
}

/** A result must be one that the step could have: the engine lets no other in. */
function unfit(workflow: Workflow, { event }: Entry, language: Language): string | undefined {
  if (event.kind !== "step.succeeded") return undefined;
  const schema = definitionOf(workflow, event.task)?.output;
  const misfit = schema && language.misfit(schema, event.output);
  return misfit ? `the output of \`${event.task}\` does not fit: ${misfit}` : undefined;
}

function withoutEffect(event: Decided): string {
  if (event.kind !== "step.started") return canonicalJson(event);
  const { effect: _, ...rest } = event;
  return canonicalJson(rest);
}

function divergence(event: Decided, following: ReadonlySet<string>): string {
  const what = "task" in event ? `\`${event.kind}\` of \`${event.task}\`` : `\`${event.kind}\``;
  const instead = [...following].map((text) => {
    const { kind, task } = JSON.parse(text) as { readonly kind: string; readonly task?: string };
    return task === undefined ? kind : `${kind} ${task}`;
  });
  const list = instead.length > 0 ? instead.slice(0, 8).join(", ") : "nothing";
  return `${what} does not follow from the plan and the results before it as it is written (what follows: ${list})`;
}
