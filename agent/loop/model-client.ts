import { err, ok, type Result } from "../../lib/result.ts";
import type { Self } from "../../protocol/door.ts";
import { limits } from "../../protocol/limits.ts";
import { refusal, type Refusal } from "../../protocol/refusal.ts";
import { anthropic } from "./anthropic.ts";
import type { ModelAnswer, ShownTool, Turn } from "./conversation.ts";
import type { DoorClient } from "./door-client.ts";
import { openai } from "./openai.ts";
import { SseParser } from "./sse.ts";
import type { WireFormat } from "./wire-format.ts";

const formats: Readonly<Record<Self["model"]["api"], WireFormat>> = { openai, anthropic };

/** Puts the conversation to the agent's model and resolves with the whole answer. */
export async function askModel(
  door: DoorClient,
  self: Self,
  turns: readonly Turn[],
  tools: readonly ShownTool[],
): Promise<Result<ModelAnswer, Refusal>> {
  const format = Object.hasOwn(formats, self.model.api) ? formats[self.model.api] : undefined;
  if (!format) return err(refusal("unsupported", `wire format \`${self.model.api}\` is not known to this agent`, ""));
  const { instructions, model } = self;
  const ask = { model: model.id, instructions, turns, tools, outputTokensMax: limits.agent.outputTokensMax };
  const reader = format.reader();
  let refused: Refusal | undefined;
  const parser = new SseParser(limits.model.eventBytesMax, (event) => {
    refused ??= reader.take(event);
  });
  const streamed = await door.stream({
    path: format.path,
    headers: format.headers,
    body: JSON.stringify(format.body(ask)),
    onStream: (text) => parser.push(text) ?? refused?.reason,
  });
  if (refused) return err(refused);
  if (!streamed.ok) return streamed;
  const answer = reader.answer();
  return answer ? ok(answer) : err(refusal("upstream_failed", "the model's answer broke off", "try again later"));
}
