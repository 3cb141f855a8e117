import type { Matrix } from "../policy/decide.ts";
import { globsMeet } from "./glob-cover.ts";

/**
 * Agents that can have read something untrusted in any step or conversation, and by what: files, places outside, board keys, topics or messages
 * of such agents. Their volume keeps it, so that it can come back in a later step that reads nothing.
 */
export function taintedAgents(matrix: Matrix): ReadonlyMap<string, string> {
  const tainted = new Map<string, string>();
  for (const [agent, { tools, reach, databases }] of matrix) {
    const source = tools.find((tool) => tool === "files.read") ?? reach?.[0]?.text ?? databases?.[0];
    if (source !== undefined) tainted.set(agent, `\`${source}\``);
  }
  // Each round can taint one agent more; nothing is ever taken back.
  for (let before = -1; before < tainted.size;) {
    before = tainted.size;
    for (const [agent, { blackboard, topics }] of matrix) {
      if (tainted.has(agent)) continue;
      const teller = [...tainted.keys()].find(
        (other) =>
          matrix.get(other)?.message.includes(agent) ||
          matrix.get(other)?.blackboard.write.some((write) => blackboard.read.some((read) => globsMeet(read, write))) ||
          matrix.get(other)?.topics?.publish.some((to) => topics?.subscribe.some((read) => globsMeet(read, to))),
      );
      if (teller !== undefined) tainted.set(agent, `what \`${teller}\` leaves it`);
    }
  }
  return tainted;
}

/** Agents that may write a key of `pattern`; whatever an agent writes is untrusted. */
export const writersOf = (matrix: Matrix, pattern: string): readonly string[] =>
  [...matrix]
    .filter(([, { blackboard }]) => blackboard.write.some((write) => globsMeet(write, pattern)))
    .map(([agent]) => agent);
