import type { ToolOutcome, Turn } from "./conversation.ts";
import { limits } from "../../protocol/limits.ts";

/** One conversation as the agent remembers it. Always complete: no tool call without its result. */
export interface Session {
  readonly version: 1;
  readonly conversation: string;
  /** The delivery worked on last; when it comes again after a crash, work goes on where it stopped. */
  readonly deliveryId: string | null;
  /** Answers given to other agents in this conversation. */
  readonly answers: number;
  readonly turns: readonly Turn[];
}

export const newSession = (conversation: string): Session => ({
  version: 1,
  conversation,
  deliveryId: null,
  answers: 0,
  turns: [],
});

const dropped = JSON.stringify({
  error: { code: "too_large", reason: "dropped from memory to stay within bounds", remedy: "" },
});

/** Forgets the oldest: whole exchanges first, then the contents of old tool results of the exchange under way. */
export function withinBounds(turns: readonly Turn[]): readonly Turn[] {
  let kept = turns;
  while (tooLarge(kept)) {
    const next = kept.findIndex((turn, at) => at > 0 && turn.role === "user");
    if (next < 0) break;
    kept = kept.slice(next);
  }
  for (let at = 0; at < kept.length && tooLarge(kept); at++) {
    const turn = kept[at];
    if (turn?.role === "tools") kept = kept.with(at, { ...turn, results: turn.results.map(emptied) });
  }
  return kept;
}

const emptied = (result: ToolOutcome): ToolOutcome => ({ ...result, content: dropped, failed: true });

function tooLarge(turns: readonly Turn[]): boolean {
  const messages = turns.reduce((sum, turn) => sum + (turn.role === "tools" ? turn.results.length : 1), 0);
  return (
    messages > limits.agent.historyMessagesMax ||
    Buffer.byteLength(JSON.stringify(turns)) > limits.agent.historyBytesMax
  );
}
