import { assert } from "../../lib/assert.ts";
import { parseJson, type Json } from "../../lib/json.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import type { Label } from "../../protocol/label.ts";
import { limits } from "../../protocol/limits.ts";
import { refusal, type Refusal } from "../../protocol/refusal.ts";
import type { Inboxes } from "../bus/inboxes.ts";
import { defaultTenant } from "../store/statements.ts";
import type { Store, Write } from "../store/store.ts";
import type { Plan } from "../workflow/definition.ts";
import type { StartRun } from "../workflow/engine/engine.ts";
import { evaluate } from "../workflow/expression.ts";
import { BODY, type Effect } from "./effect.ts";

/** Something from outside of the fleet. `cause` is `schedule:NAME` or `hook:NAME`; `given` is what came with it. */
export interface Occasion {
  readonly effect: Effect;
  readonly given: string;
  readonly cause: string;
  readonly label: Label;
}

type Caused = Result<{ readonly id: string; readonly writes: readonly Write[]; done(): void }, Refusal>;

/** What a tick or a webhook does. Its rows go into the transaction of the tick or the delivery, so that both are on disk or neither. */
export interface Trigger {
  prepare(occasion: Occasion): Caused;
  /** Whether what an earlier occasion caused still goes on. */
  isOpen(id: string): boolean;
}

/** A message in the inbox of an agent, open until the agent has settled it. */
export function messageTrigger(inboxes: Inboxes, store: Store): Trigger {
  return {
    prepare({ effect, given, cause, label }) {
      assert(effect.kind === "message", "a message trigger posts messages");
      const from = `principal:${cause}` as const;
      const body = effect.body ?? given;
      return inboxes.post({ to: effect.to, from, body, label, conversation: undefined, replyTo: null });
    },
    isOpen: (id) => store.query.messages.get(defaultTenant, id)?.state === "queued",
  };
}

export interface WorkflowTriggerParts {
  readonly store: Store;
  /** By file: what was planned when the mesh was started, and nothing newer. */
  readonly plans: ReadonlyMap<string, Plan>;
  prepareStart(start: StartRun): Caused;
}

/** A run of a workflow, open until it has ended. */
export function workflowTrigger({ store, plans, prepareStart }: WorkflowTriggerParts): Trigger {
  return {
    prepare({ effect, given, cause, label }) {
      assert(effect.kind === "workflow", "a workflow trigger starts runs");
      const plan = plans.get(effect.file);
      assert(plan, "what can be started was planned");
      const body: Result<Json, string> =
        given === "" ? ok(null) : parseJson(Buffer.from(given), limits.door.jsonDepthMax);
      const scope = { runId: "", input: null, outputs: new Map<string, Json>() };
      const input = body.ok ? evaluate(effect.input, { ...scope, item: { name: BODY, value: body.value } }) : body;
      return input.ok
        ? prepareStart({ plan, input: input.value, label, by: cause })
        : err(
            refusal("unsupported", `the input cannot be made: ${input.error}`, "send what `input` of the entry names"),
          );
    },
    isOpen: (id) => store.query.workflow.run(defaultTenant, id)?.finishedAtMs === null,
  };
}

/** Each occasion to the one that its effect is for. `workflow` is made later than those who ask. */
export function eitherTrigger(message: Trigger, workflow: () => Trigger): Trigger {
  return {
    prepare: (occasion) => (occasion.effect.kind === "message" ? message : workflow()).prepare(occasion),
    isOpen: (id) => message.isOpen(id) || workflow().isOpen(id),
  };
}
