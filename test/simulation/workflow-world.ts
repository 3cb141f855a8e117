/** The engine on the inline store with the real board, inboxes and tools; agents, time and crashes are simulated. */
import { Blackboard } from "../../mesh/blackboard/blackboard.ts";
import { Inboxes } from "../../mesh/bus/inboxes.ts";
import { Topics } from "../../mesh/bus/topics.ts";
import { createAudit } from "../../mesh/audit/create.ts";
import type { Caller, DoorServices } from "../../mesh/door/services.ts";
import { toolCall } from "../../mesh/door/tool-call.ts";
import { Monitor } from "../../mesh/monitor/monitor.ts";
import type { Matrix } from "../../mesh/policy/decide.ts";
import { openStore, type StoreOptions } from "../../mesh/store/open.ts";
import type { Store } from "../../mesh/store/store.ts";
import { WorkflowEngine } from "../../mesh/workflow/engine/engine.ts";
import { agentWork } from "../../mesh/workflow/engine/performers/agent.ts";
import { boardWait } from "../../mesh/workflow/engine/performers/board-wait.ts";
import { toolWork } from "../../mesh/workflow/engine/performers/tool.ts";
import { nextOnTopic, topicWait } from "../../mesh/workflow/engine/performers/topic-wait.ts";
import { language } from "../../mesh/workflow/engine/workflow-language.ts";
import { auditKeys, countingIds, type SimulatedClock } from "./world.ts";
import type { Delivery } from "../../protocol/door.ts";
import { unlabelled } from "../../protocol/label.ts";
import { ok } from "../../lib/result.ts";

const keys = auditKeys();
const everything = { read: ["**"], write: ["**"] };
const scribeAlone: Matrix = new Map([
  [
    "scribe",
    {
      ...{ message: [], blackboard: everything, topics: { publish: ["**"], subscribe: ["**"] } },
      ...{ tools: ["output.write"], models: [] },
    } as never,
  ],
]);

/** An upstream that honours idempotency keys: each key acts once; what comes again is counted. */
export class Upstream {
  readonly effects = new Map<string, string>();
  repeats = 0;
  #flaky: string | undefined;
  receive(key: string, what: string): void {
    if (this.effects.has(key)) this.repeats++;
    else this.effects.set(key, what);
  }
  /** Whether this is the first message that wanted flakiness, also when it is delivered again. */
  isFlaky(message: string): boolean {
    return (this.#flaky ??= message) === message;
  }
}

export interface WorkflowWorld {
  readonly store: Store;
  readonly audit: ReturnType<typeof createAudit>;
  readonly engine: WorkflowEngine;
  readonly inboxes: Inboxes;
  readonly topics: Topics;
  readonly board: Blackboard;
  stop(): void;
}

export interface WorldParts {
  readonly path: string;
  readonly clock: SimulatedClock;
  /** Another at each opening. */
  readonly opening: number;
  readonly upstream: Upstream;
  readonly faults?: StoreOptions["faults"];
  /** What the agent says; undefined = it settles without a reply. */
  readonly answer?: (delivery: Delivery) => string | undefined;
  readonly worksMax?: number;
  /** `scribe` with all rights if nothing is said. */
  readonly matrix?: Matrix;
  /** What `files.list` and `files.read` find: texts by path. */
  readonly texts?: ReadonlyMap<string, string>;
  /** Who takes messages; `scribe` alone if nothing is said. */
  readonly agents?: readonly string[];
}

/** Fails the first time when asked to be flaky, always when asked to fail; otherwise echoes in capitals. */
function echo(delivery: Delivery, upstream: Upstream): string | undefined {
  if (delivery.body.startsWith("fail")) return undefined;
  if (delivery.body.startsWith("flaky") && upstream.isFlaky(delivery.id)) return undefined;
  return delivery.body.toUpperCase();
}

export async function openWorkflows(parts: WorldParts): Promise<WorkflowWorld> {
  const { path, clock, opening, upstream, faults, answer = (delivery: Delivery) => echo(delivery, upstream) } = parts;
  const store = await openStore({ path, mode: "inline", ...(faults ? { faults } : {}) });
  const ids = countingIds(opening);
  const audit = createAudit({ store, clock, ...keys });
  const monitor = new Monitor(clock);
  const board = new Blackboard(store, clock);
  const inboxes = new Inboxes(store, clock, ids);
  const topics = new Topics(store, clock, ids);
  const { texts = new Map<string, string>(), matrix = scribeAlone } = parts;
  const files = {
    list: () => Promise.resolve(ok({ files: [...texts].map(([file, text]) => ({ path: file, bytes: text.length })) })),
    read: (name: string) => Promise.resolve(ok({ content: texts.get(name) ?? "", removed: 0 })),
    write: (name: string, content: string) => Promise.resolve(ok({ path: name, bytes: content.length })),
  };
  const services = { clock, ids, matrix, audit, board, inboxes, topics, monitor, files, halted: () => undefined };
  const ledger = { openScope: () => undefined, closeScope: () => undefined };
  const engine = new WorkflowEngine({
    ...{ store, audit, monitor, clock, ids, language, ledger },
    ...(parts.worksMax === undefined ? {} : { worksMax: parts.worksMax }),
    performers: {
      agent: agentWork({ store, inboxes }),
      tool: toolWork({
        ...{ store, audit },
        call: ({ tool, as, session, arguments: given, audit: marking, signal }) => {
          if (tool === "output.write") upstream.receive(session, JSON.stringify(given));
          const caller: Caller = { agent: as, sandbox: session };
          return toolCall({ ...services, audit: marking } as unknown as DoorServices, caller, tool, given, signal);
        },
      }),
      board: boardWait({ mayRead: () => undefined, when: () => Promise.resolve(undefined) }),
      topic: topicWait({
        mayRead: () => undefined,
        last: (topic) => topics.last(topic),
        next: (topic, after, signal) => nextOnTopic({ store, topics, clock }, topic, after, signal),
      }),
    },
  });
  const stop = new AbortController();
  for (const name of parts.agents ?? ["scribe"])
    void serveAgent(name, store, inboxes, answer, stop.signal).catch(() => {});
  return {
    ...{ store, audit, engine, inboxes, topics, board },
    stop: () => {
      stop.abort();
      engine.close();
    },
  };
}

/** Takes one delivery after the other and answers it, the answer and its end in one transaction. */
async function serveAgent(
  name: string,
  store: Store,
  inboxes: Inboxes,
  answer: NonNullable<WorldParts["answer"]>,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const delivery = await inboxes.next(name, 1e9, signal);
    if (!delivery || signal.aborted) continue;
    const body = answer(delivery);
    const reply =
      body === undefined ? undefined : inboxes.answer("workflow", `agent:${name}`, delivery, body, unlabelled);
    const settled = inboxes.settle(name, delivery.id);
    await store.commit([...(reply?.writes ?? []), ...settled.writes]);
    settled.done();
    reply?.done();
  }
}

/** Lets everything happen that can; time passes only when nothing else does. */
export async function until(clock: SimulatedClock, over: () => boolean, patience = 400): Promise<void> {
  for (let round = 0; round < patience && !over(); round++) {
    for (let turn = 0; turn < 12 && !over(); turn++) await new Promise((resolve) => setImmediate(resolve));
    if (!over()) clock.pass(500);
  }
}
