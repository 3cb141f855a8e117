import { ok, err, type Result } from "../../lib/result.ts";
import type { Label } from "../../protocol/label.ts";
import type { RunInput } from "../../protocol/run.ts";
import { limits } from "../../protocol/limits.ts";
import { refusal, type Refusal } from "../../protocol/refusal.ts";
import type { Fleet } from "../config/fleet.ts";
import type { DeskRuns } from "../desk/run-routes.ts";
import { operator } from "../desk/services.ts";
import type { DoorServices } from "../door/services.ts";
import { toolCall } from "../door/tool-call.ts";
import type { Action } from "../policy/decide.ts";
import { defaultTenant } from "../store/statements.ts";
import type { Store } from "../store/store.ts";
import type { Narrowing } from "../workflow/definition.ts";
import { CallNames } from "../workflow/engine/call-names.ts";
import { WorkflowEngine } from "../workflow/engine/engine.ts";
import { agentWork } from "../workflow/engine/performers/agent.ts";
import { boardWait } from "../workflow/engine/performers/board-wait.ts";
import { toolWork } from "../workflow/engine/performers/tool.ts";
import { language } from "../workflow/engine/workflow-language.ts";
import { nextOnTopic, topicWait } from "../workflow/engine/performers/topic-wait.ts";
import { loadWorkflow } from "../workflow/load.ts";
import { decideInStep } from "../workflow/narrow.ts";
import { planWorkflow } from "../workflow/plan.ts";
import { planFacts } from "./plan.ts";

type Services = Omit<DoorServices, "decide">;

/** The engine with the rooms that its steps work with. `services` is what doors get, without what the engine adds. */
export function createWorkflowEngine(services: () => Services, store: Store): WorkflowEngine {
  const { audit, monitor, clock, ids, board, inboxes, topics, matrix, ledger } = services();
  const mayRead = (agent: string, may: Partial<Narrowing>, action: Action): string | undefined => {
    const decision = decideInStep(matrix, { ...nothing, ...may }, agent, action);
    return decision.allow ? undefined : decision.refusal.reason;
  };
  return new WorkflowEngine({
    ...{ store, audit, monitor, clock, ids, language, ledger },
    performers: {
      agent: agentWork({ store, inboxes }),
      tool: toolWork({
        ...{ store, audit },
        call: ({ tool, as, session, may, arguments: given, audit: marking, signal }) => {
          const decide: DoorServices["decide"] = ({ agent }, action) => decideInStep(matrix, may, agent, action);
          return toolCall(
            { ...services(), audit: marking, decide },
            { agent: as, sandbox: session },
            tool,
            given,
            signal,
          );
        },
      }),
      board: boardWait({
        mayRead: (agent, key) =>
          mayRead(agent, { blackboard: { read: [key], write: [] } }, { verb: "board.read", key }),
        async when(key, version, signal) {
          const { watches } = board;
          for (let from = watches.head(); ;) {
            const entry = board.read(key, undefined);
            if (entry && entry.version >= version) return entry;
            if (signal.aborted) return undefined;
            const watch = { reader: `key:${key}`, match: key, from, waitMs: limits.desk.waitMsMax };
            from = (await watches.changes(watch, () => true, signal)).next;
          }
        },
      }),
      topic: topicWait({
        mayRead: (agent, topic) =>
          mayRead(agent, { topics: { publish: [], subscribe: [topic] } }, { verb: "topic.subscribe", topic }),
        last: (topic) => topics.last(topic),
        next: (topic, after, signal) => nextOnTopic({ store, topics, clock }, topic, after, signal),
      }),
    },
  });
}

const nothing: Narrowing = { tools: [], message: [], reach: [], blackboard: { read: [], write: [] } };

/**
 * An agent at work on a step has the rights of the step, and no others, and spends from its budget, until it has settled
 * the message. A new start of the agent is no way out, nor is one of the mesh: what may have been in hand still is.
 */
export function atWork(
  engine: WorkflowEngine,
  { inboxes, matrix, clock }: Services,
  store: Store,
): Required<Pick<DoorServices, "decide" | "workOf">> {
  const names = new CallNames();
  const messageOf = (agent: string): string | undefined => {
    const inHand = inboxes.handedOut(agent);
    if (inHand !== undefined || !engine.hasRecovered) return inHand;
    const next = store.query.messages.queued(defaultTenant, agent, 0, 1)[0]?.id;
    return next !== undefined && engine.perhapsInHand(next) ? next : undefined;
  };
  return {
    decide({ agent }, action) {
      const message = messageOf(agent);
      const job = message === undefined ? undefined : engine.jobOfMessage(message);
      return job && decideInStep(matrix, job.definition.may, agent, action);
    },
    workOf({ agent }) {
      const message = messageOf(agent);
      const work = message === undefined ? undefined : engine.workOfMessage(message);
      if (!work) return undefined;
      const { run, task, attempt } = work;
      return {
        ...work,
        callKey: ({ sandbox }, provider, body) => names.next(work, sandbox, provider, body),
        began(id, kind, name) {
          const nowMs = clock.nowMs();
          return [["workflow.beginCall", id, run, task, attempt, kind, name, nowMs, kind === "tool" ? nowMs : null]];
        },
        ended: (id, outcome, { tokens, microUsd }) => [
          ["workflow.endCall", clock.nowMs(), outcome, tokens, microUsd, id],
        ],
      };
    },
  };
}

/** What the desk can ask of workflows: a file is planned here, against the fleet that runs, and started if that is allowed. */
export function deskRuns(engine: WorkflowEngine, fleet: Fleet, { clock }: Pick<Services, "clock">): DeskRuns {
  const facts = planFacts(fleet, clock);
  return {
    engine,
    async start({ file, input }: RunInput): Promise<Result<{ readonly run: string; readonly plan: string }, Refusal>> {
      const compiled = loadWorkflow(file);
      const findings = compiled.ok ? planWorkflow(compiled.value, facts, input ?? {}) : { findings: compiled.error };
      const startedBy = compiled.ok ? compiled.value.workflow.startedBy : [];
      if (compiled.ok && !startedBy.includes("person"))
        return err(
          refusal(
            "denied",
            `\`${file}\` is started by ${startedBy.join(", ")} only`,
            "add `person` to its `started_by`",
          ),
        );
      const fault = findings.findings.find(({ severity }) => severity === "error");
      if (fault || !("digest" in findings))
        return err(
          refusal(
            "denied",
            fault ? `${fault.file}:${fault.line}:${fault.column}: ${fault.message}` : "the file is not a workflow",
            fault?.fix ?? "run `cordon plan` on it",
          ),
        );
      const label: Label = { integrity: "user", confidentiality: "internal", sources: [operator] };
      const started = await engine.start({ plan: findings, input: input ?? {}, label, by: operator });
      return started.ok ? ok({ run: started.value.run, plan: findings.digest }) : started;
    },
  };
}
