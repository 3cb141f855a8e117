import { canonicalJson, parseJson, type Json } from "../../../../lib/json.ts";
import { joinLabels, type Label } from "../../../../protocol/label.ts";
import { limits } from "../../../../protocol/limits.ts";
import type { Inboxes } from "../../../bus/inboxes.ts";
import { defaultTenant } from "../../../store/statements.ts";
import type { Store } from "../../../store/store.ts";
import { failure, type Job, type Outcome, type Performer, type Prepared } from "../job.ts";

/** Who speaks when a workflow does. */
export const workflowPrincipal = "principal:workflow";

export interface AgentWorkParts {
  readonly store: Pick<Store, "query">;
  readonly inboxes: Pick<Inboxes, "post" | "settle" | "settled" | "pending" | "handedOut">;
}

/**
 * A task is one message in a conversation of its own, committed with the start of the step. What the agent replies is
 * found in the store, so that neither an answer that came during a crash nor a second delivery does any harm.
 */
export function agentWork({ store, inboxes }: AgentWorkParts): Performer {
  const post = (to: string, body: string, label: Label, conversation?: string) =>
    inboxes.post({ to, from: workflowPrincipal, body, label, conversation, replyTo: null });
  return {
    prepare(job) {
      const { work } = job.definition;
      const body = bodyOf(job);
      if (work.kind !== "agent") return failure("plan", "no agent is named");
      if (Buffer.byteLength(body) > limits.message.bodyBytesMax)
        return failure("input", `the task is longer than ${limits.message.bodyBytesMax} bytes`);
      const posted = post(work.agent, body, job.label);
      if (!posted.ok) return failure("work", posted.error.reason);
      const { id, conversation, writes, done } = posted.value;
      return { ok: true, effect: { message: id, conversation }, writes, done };
    },

    async perform(job, signal) {
      if (!job.effect || !("message" in job.effect)) return failure("lost", "no message was recorded for this attempt");
      const { message, conversation } = job.effect;
      await inboxes.settled(message, signal);
      const reply = store.query.replies.after(defaultTenant, conversation, 0, 1)[0];
      if (!reply || reply.replyTo !== message)
        return failure("work", "the agent has put the task aside without a reply");
      return outcomeOf(job, reply.body, joinLabels(job.label, JSON.parse(reply.label) as Label));
    },

    /** Taken out of the inbox; an agent that has it in hand is told, and can settle it no more. */
    withdraw(job): Prepared {
      const { work } = job.definition;
      if (work.kind !== "agent" || !job.effect || !("message" in job.effect)) return nothing;
      const { message, conversation } = job.effect;
      // One that is still on its way to the disk is taken back, too: rows are committed in the order of their decisions.
      const onDisk = store.query.messages.get(defaultTenant, message) !== undefined;
      if (onDisk && !inboxes.pending(work.agent, message)) return nothing;
      const inHand = inboxes.handedOut(work.agent) === message;
      const settled = inboxes.settle(work.agent, message);
      const told = inHand ? post(work.agent, `cancelled: task ${message}`, job.label, conversation) : undefined;
      const notice = told?.ok ? told.value : undefined;
      return {
        ok: true,
        writes: [...settled.writes, ...(notice?.writes ?? [])],
        done: () => {
          settled.done();
          notice?.done();
        },
      };
    },
  };
}

const nothing: Prepared = { ok: true, writes: [], done: () => {} };

function bodyOf({ input, definition }: Job): string {
  const { task, with: handed } = input as { readonly task?: Json; readonly with?: Json };
  const words = [typeof task === "string" ? task : canonicalJson(task ?? null)];
  if (handed !== undefined && !isEmpty(handed)) words.push(`Input (JSON):\n${canonicalJson(handed)}`);
  if (definition.output) words.push(`Answer with JSON only, of this schema:\n${canonicalJson(definition.output)}`);
  return words.join("\n\n");
}

const isEmpty = (value: Json): boolean =>
  typeof value === "object" && value !== null && Object.keys(value).length === 0;

function outcomeOf({ definition }: Job, body: string, label: Label): Outcome {
  if (!definition.output) return { ok: true, output: body, label };
  const parsed = parseJson(Buffer.from(unfenced(body)), limits.door.jsonDepthMax);
  if (!parsed.ok) return failure("output", `the reply is not the JSON that was asked for: ${parsed.error}`);
  return { ok: true, output: parsed.value, label };
}

/** Models like to put JSON into a fence. */
function unfenced(body: string): string {
  const text = body.trim();
  if (!text.startsWith("```") || !text.endsWith("```") || text.length < 6) return text;
  const lineEnd = text.indexOf("\n");
  return lineEnd < 0 ? text : text.slice(lineEnd + 1, -3);
}
