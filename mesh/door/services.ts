import type { Clock } from "../../lib/clock.ts";
import type { Id } from "../../lib/id.ts";
import type { Self } from "../../protocol/door.ts";
import type { Label } from "../../protocol/label.ts";
import type { Refusal } from "../../protocol/refusal.ts";
import type { Audit } from "../audit/audit.ts";
import type { Blackboard } from "../blackboard/blackboard.ts";
import type { Inboxes } from "../bus/inboxes.ts";
import type { Requests } from "../bus/requests.ts";
import type { Topics } from "../bus/topics.ts";
import type { Injector } from "../egress/credentials.ts";
import type { ModelGateway } from "../egress/model-gateway.ts";
import type { PostgresBroker } from "../egress/brokers/postgres/broker.ts";
import type { SshBroker } from "../egress/brokers/ssh/broker.ts";
import type { Gateway as WebGateway } from "../egress/web/gateway.ts";
import type { Provider } from "../egress/providers.ts";
import type { Amount, BudgetRefusal, Ledger, Scope } from "../ledger/ledger.ts";
import type { BodyMemory } from "../http/body-memory.ts";
import type { ScopeTree } from "../ledger/scope-tree.ts";
import type { Prices } from "../ledger/prices.ts";
import type { Orchestrator } from "../orchestrator/orchestrator.ts";
import type { Watchman } from "../orchestrator/watchman.ts";
import type { Monitor } from "../monitor/monitor.ts";
import type { Action, Decision, Matrix } from "../policy/decide.ts";
import type { Write } from "../store/store.ts";
import type { FileTools } from "../tools/files.ts";
import type { Denials } from "./denials.ts";
import type { AnswerCache } from "./model-cache.ts";
import type { ModelLimits } from "./model-limits.ts";
import type { Routing } from "./model-routing.ts";
import type { Runaway, RunawayCause } from "./runaway.ts";

/** Who stands at a door: fixed when the socket is made, never read from a request. */
export interface Caller {
  readonly agent: string;
  readonly sandbox: string;
}

/** What an agent is at work on: a task of a run. What it spends meanwhile counts there as well. */
export interface Work {
  /** The run that all belongs to, which something from outside has begun. */
  readonly trace: string;
  readonly run: string;
  readonly task: string;
  readonly attempt: number;
  /** Those with a cap, open in the ledger. */
  readonly scopes: readonly Scope[];
  /** Aborted when the task is over, whatever the agent says. */
  readonly signal: AbortSignal;
  /** One of `scopes` has refused a reservation. */
  refused(cause: BudgetRefusal): void;
  /** Names a call to its provider: the same call of the same attempt has the same name after a crash. */
  callKey(caller: Caller, provider: string, body: Uint8Array): string;
  /** The rows of a model call (`id` is its hold) or of a tool call, for the trace of the run. */
  began(id: string, kind: "model" | "tool", name: string): readonly Write[];
  ended(id: string, outcome: string, spent: Amount): readonly Write[];
}

/** The rooms that a door hands a request on to. */
export interface DoorServices {
  readonly clock: Clock;
  readonly ids: Id;
  /** `node`: Node's server reads every request, also those that the mesh's own leg would read (`PlainLeg`). */
  readonly http1?: "node";
  readonly matrix: Matrix;
  /** A narrower decision than the matrix's, where there is one: an agent at work on a step has the rights of the step. */
  readonly decide?: (caller: Caller, action: Action) => Decision | undefined;
  readonly workOf?: (caller: Caller) => Work | undefined;
  readonly audit: Audit;
  /** The evidence of what this caller was refused. */
  denials(caller: Caller): Denials;
  readonly ledger: Ledger;
  /** In which budgets an agent spends. */
  readonly scopes: ScopeTree;
  /** Names of the fleet's own for models. */
  readonly aliases: ReadonlyMap<string, { readonly provider: string; readonly model: string }>;
  /** Chains of models, their health, and who is next among several credentials. */
  readonly routing?: Routing;
  readonly cache?: AnswerCache;
  readonly prices: Prices;
  readonly providers: ReadonlyMap<string, Provider>;
  /** Ceilings of each agent's calls. */
  readonly modelLimits: ReadonlyMap<string, ModelLimits>;
  readonly gateway: ModelGateway;
  readonly bodies: BodyMemory;
  /** Absent: there is no way to the web. */
  readonly web?: WebGateway;
  /** Absent: there is no way to any database. */
  readonly postgres?: PostgresBroker;
  /** Absent: there is no way to any repository. */
  readonly ssh?: SshBroker;
  readonly injector: Injector;
  readonly board: Blackboard;
  readonly inboxes: Inboxes;
  readonly topics: Topics;
  readonly requests: Requests;
  readonly tasks: Orchestrator;
  readonly taskWatch: Pick<Watchman, "wake">;
  readonly files: FileTools;
  /** Whether agents may leave more on the disk; absent: as much as other limits let them. */
  readonly room?: () => boolean;
  readonly monitor: Monitor;
  /** What each agent is told about itself. */
  readonly selves: ReadonlyMap<string, Self>;
  /** The refusal that stands while an agent is halted. */
  halted(agent: string): Refusal | undefined;
  /** Ends an agent whose budget is used up. */
  halt(agent: string, cause: BudgetRefusal): void;
  /** Ends an agent that runs away, and counts what shows it. */
  readonly runaway?: Runaway;
  haltRunaway?(agent: string, cause: RunawayCause): void;
}

/** The caller in a record: the same text each time, so that it is hashed and looked at once. */
export function subjectOf({ agent }: Caller): string {
  let subject = subjects.get(agent);
  if (subject === undefined) {
    subject = `agent:${agent}`;
    if (subjects.size >= SUBJECTS_MAX) subjects.clear();
    subjects.set(agent, subject);
  }
  return subject;
}

const subjects = new Map<string, string>();
const SUBJECTS_MAX = 4_096;

/** What an agent writes is only as good as an agent: nothing it says is above `generated`, and it may have read anything. */
export const agentLabel = (agent: string): Label => ({
  integrity: "untrusted",
  confidentiality: "internal",
  sources: [`agent:${agent}`],
});

/** What the audit says of a call that was made for a run. */
export const evidenceOf = (work: Work | undefined): { readonly [key: string]: string | number } =>
  work ? { trace: work.trace, run: work.run, task: work.task, attempt: work.attempt } : {};
