import type { Watches } from "../blackboard/watches.ts";
import { decide, type Matrix } from "../policy/decide.ts";

const AGENT = "agent:";

/**
 * Agents for whom something has come on the board: a change that they watch and may read. One that an agent may not read
 * does not wake it either: its sleep would tell of the key, and its work would cost money.
 */
export function boardNews(watches: Watches, matrix: Matrix) {
  const agentOf = (watcher: string): string => (watcher.startsWith(AGENT) ? watcher.slice(AGENT.length) : "");
  const mayRead = (watcher: string, key: string): boolean =>
    decide(matrix, agentOf(watcher), { verb: "board.read", key }).allow;
  return {
    observe: (listener: (agent: string) => void): void =>
      watches.observe((watcher, key) => mayRead(watcher, key) && listener(agentOf(watcher))),
    behind: (): Set<string> => new Set([...watches.behind(mayRead)].map(agentOf)),
  };
}
