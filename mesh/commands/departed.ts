import type { Blackboard } from "../blackboard/blackboard.ts";
import type { Topics } from "../bus/topics.ts";
import type { Orchestrator } from "../orchestrator/orchestrator.ts";
import type { Write } from "../store/store.ts";

export interface Rooms {
  readonly topics: Topics;
  readonly board: Blackboard;
  readonly tasks: Orchestrator;
}

/** What ends with an agent that has left the fleet: its subscriptions, requests, watches and tasks. What it wrote stays. */
export function departed(agent: string, { topics, board, tasks }: Rooms): Write[] {
  const ended = tasks.abandon(agent);
  for (const { done } of ended) done();
  return [...topics.forget(agent), ...board.watches.forget(`agent:${agent}`), ...ended.flatMap(({ writes }) => writes)];
}
