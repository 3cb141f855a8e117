import type { Json } from "../../../../lib/json.ts";
import type { Result } from "../../../../lib/result.ts";
import type { ToolAnswer, ToolName } from "../../../../protocol/door.ts";
import { joinLabels } from "../../../../protocol/label.ts";
import type { Refusal } from "../../../../protocol/refusal.ts";
import type { Audit } from "../../../audit/audit.ts";
import { defaultTenant } from "../../../store/statements.ts";
import type { Store, Write } from "../../../store/store.ts";
import type { Narrowing } from "../../definition.ts";
import { failure, idempotencyKey, nothingToPrepare, type Outcome, type Performer } from "../job.ts";

/** The door's own handler of a tool, with the rights of `as` narrowed to `may`; what it records goes to `audit`. */
export interface ToolCall {
  readonly tool: ToolName;
  readonly as: string;
  /** Stands for the sandbox in the evidence. */
  readonly session: string;
  readonly may: Narrowing;
  readonly arguments: Json;
  readonly audit: Audit;
  readonly signal: AbortSignal;
}

export interface ToolWorkParts {
  readonly store: Pick<Store, "query">;
  readonly audit: Audit;
  call(call: ToolCall): Promise<Result<ToolAnswer, Refusal>>;
}

/**
 * Effects in our own store carry a mark in the same transaction, so that they are made once; all others of our tools
 * (reading, writing a file whole) come to the same when they are repeated.
 */
export function toolWork({ store, audit, call }: ToolWorkParts): Performer {
  return {
    prepare: () => nothingToPrepare,
    staysInStore: ({ definition: { work } }) => work.kind === "tool" && storeTools.has(work.tool),
    async perform(job, signal): Promise<Outcome> {
      const { work, may } = job.definition;
      if (work.kind !== "tool") return failure("plan", "no tool is named");
      const key = idempotencyKey(job);
      const made = store.query.workflow.effect(job.run, key);
      if (made !== undefined) return recalled(store, work.tool, made, job.label);
      const mark = (detail: Json): Write => ["workflow.markEffect", job.run, key, JSON.stringify(detail)];
      const marking: Audit = {
        record: (event, writes = []) =>
          audit.record(event, writes.length === 0 ? writes : [...writes, mark(event.detail)]),
      };
      const { tool, as } = work;
      const answer = await call({ tool, as, session: key, may, arguments: job.input, audit: marking, signal });
      if (answer.ok) {
        const label = joinLabels(job.label, answer.value.label);
        return { ok: true, output: answer.value.result as Json, label };
      }
      const { code, reason } = answer.error;
      return failure(code === "denied" || code === "malformed" || code === "halted" ? "denied" : "work", reason);
    },
  };
}

/** Tools that reach nothing but rows of the store; one that is not named here waits for the disk. */
const storeTools: ReadonlySet<ToolName> = new Set([
  ...(["board.list", "board.read", "board.history", "board.write", "board.delete"] as const),
  ...(["bus.publish", "message.send"] as const),
]);

/** The result of an effect that was made before a crash, from its evidence. */
function recalled(
  store: ToolWorkParts["store"],
  tool: ToolName,
  made: string,
  label: Parameters<typeof joinLabels>[0],
): Outcome {
  const detail = JSON.parse(made) as { readonly [name: string]: Json };
  const { key = null, version = null, message = null } = detail;
  if (tool === "board.write" || tool === "board.delete") return { ok: true, output: { key, version }, label };
  if (tool === "message.send") return { ok: true, output: { id: message }, label };
  const row = typeof message === "string" ? store.query.topics.byId(defaultTenant, message) : undefined;
  if (tool === "bus.publish" && row)
    return { ok: true, output: { id: row.id, position: row.position, duplicate: false }, label };
  return failure("lost", "the tool has acted before a crash, and what it answered is not known");
}
