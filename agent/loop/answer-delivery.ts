import { shorten } from "../../lib/text.ts";
import type { Delivery } from "../../protocol/door.ts";
import { limits } from "../../protocol/limits.ts";
import type { Refusal } from "../../protocol/refusal.ts";
import type { Result } from "../../lib/result.ts";
import type { Log } from "../init/log.ts";
import type { DoorClient } from "./door-client.ts";
import type { Sessions } from "./session-files.ts";

/**
 * Settles a delivery. People always get words. Agents get them only if there are any, if the message was not
 * itself an answer (RFC 3834: never answer an answer automatically), and a bounded number of times.
 */
export async function answerDelivery(
  { door, sessions, log }: { readonly door: DoorClient; readonly sessions: Sessions; readonly log: Log },
  delivery: Delivery,
  outcome: Result<string, Refusal>,
): Promise<void> {
  const words = outcome.ok ? outcome.value.trim() : sentence(outcome.error);
  const toPerson = delivery.from.startsWith("principal:");
  const text = words === "" && toPerson ? "(the model gave no answer)" : words;
  if (text !== "" && (toPerson || mayAnswerAgent(sessions, delivery))) {
    const sent = await door.reply(delivery.id, fitted(text));
    if (sent.ok) return;
    log("warn", "reply.refused", { delivery: delivery.id, code: sent.error.code, reason: sent.error.reason });
  }
  const settled = await door.done(delivery.id);
  if (!settled.ok)
    log("warn", "done.refused", { delivery: delivery.id, code: settled.error.code, reason: settled.error.reason });
}

function mayAnswerAgent(sessions: Sessions, delivery: Delivery): boolean {
  if (typeof delivery.inReplyTo === "string") return false;
  const session = sessions.load(delivery.conversation);
  if (session.answers >= limits.agent.answersPerConversationMax) return false;
  sessions.save({ ...session, answers: session.answers + 1 });
  return true;
}

function sentence({ code, reason, remedy }: Refusal): string {
  return `I had to stop (${code}): ${reason}${remedy === "" ? "" : `; ${remedy}`}.`;
}

/** The bound is in bytes of UTF-8, of which a UTF-16 unit takes at most three. */
function fitted(text: string): string {
  const max = limits.message.bodyBytesMax;
  return Buffer.byteLength(text) <= max ? text : shorten(text, Math.floor(max / 3));
}
