import { err, ok, type Result } from "../../lib/result.ts";
import type { Delivery, Self } from "../../protocol/door.ts";
import { limits } from "../../protocol/limits.ts";
import { refusal, type Refusal } from "../../protocol/refusal.ts";
import type { Toolbox } from "../tools/toolbox.ts";
import type { ToolCall, ToolOutcome, Turn } from "./conversation.ts";
import type { DoorClient } from "./door-client.ts";
import { askModel } from "./model-client.ts";
import { withinBounds, type Session } from "./session.ts";
import type { Sessions } from "./session-files.ts";

export interface ExchangeTools {
  readonly door: DoorClient;
  readonly self: Self;
  readonly toolbox: Toolbox;
  readonly sessions: Sessions;
}

/**
 * Works on one delivery until the model has nothing more to call: returns its last words (maybe none), or the
 * refusal that ended the work. Saved after every round, so that a restart repeats at most one round.
 */
export async function runExchange(tools: ExchangeTools, delivery: Delivery): Promise<Result<string, Refusal>> {
  let session = resume(tools.sessions.load(delivery.conversation), delivery);
  const remember = (...turns: readonly Turn[]): void => {
    session = { ...session, turns: withinBounds([...session.turns, ...turns]) };
    tools.sessions.save(session);
  };
  for (let round = 0; round < limits.agent.roundsMax; round++) {
    const said = lastWords(session);
    if (said !== undefined) return ok(said);
    const answer = await askModel(tools.door, tools.self, session.turns, tools.toolbox.shown);
    if (!answer.ok) return answer;
    const { text, calls } = answer.value;
    if (calls.length === 0) {
      if (text !== "") remember({ role: "assistant", text, calls: [] });
      return ok(text);
    }
    const results = await runCalls(tools.toolbox, calls, delivery.conversation);
    remember({ role: "assistant", text, calls }, { role: "tools", results });
  }
  return err(
    refusal("too_large", `the work was not done after ${limits.agent.roundsMax} rounds`, "ask for less at once"),
  );
}

/** A delivery that was begun before a restart is not put to the model a second time. */
function resume(session: Session, delivery: Delivery): Session {
  if (session.deliveryId === delivery.id) return session;
  const text = `Message from ${delivery.from}:\n${delivery.body}`;
  return { ...session, deliveryId: delivery.id, turns: withinBounds([...session.turns, { role: "user", text }]) };
}

function lastWords(session: Session): string | undefined {
  const last = session.turns.at(-1);
  return last?.role === "assistant" && last.calls.length === 0 ? last.text : undefined;
}

/** Runs a few at a time; the results stand in the order of the calls. */
async function runCalls(
  toolbox: Toolbox,
  calls: readonly ToolCall[],
  conversation: string,
): Promise<readonly ToolOutcome[]> {
  const results: ToolOutcome[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let at = next++; at < calls.length; at = next++) {
      const call = calls[at];
      if (call) results[at] = await toolbox.run(call, conversation);
    }
  };
  await Promise.all(Array.from({ length: Math.min(limits.agent.toolCallsConcurrentMax, calls.length) }, worker));
  return results;
}
