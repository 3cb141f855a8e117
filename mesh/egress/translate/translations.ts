import type { Json } from "../../../lib/json.ts";
import type { Result } from "../../../lib/result.ts";
import type { Provider } from "../providers.ts";
import type { WireFormat, WireName } from "../wire/format.ts";
import { wireFormats } from "../wire/formats.ts";
import type { AnswerTranslation } from "./answer.ts";
import { chatAnswer } from "./chat-answer.ts";
import { chatToMessages } from "./chat-to-messages.ts";
import { messagesAnswer } from "./messages-answer.ts";
import { messagesToChat } from "./messages-to-chat.ts";

/** A way to ask a provider of another format than the agent's. */
export interface Translation {
  readonly upstream: WireFormat;
  /** A call that the agent's own format has understood; the error is what cannot be said faithfully. */
  request(body: Json): Result<Json, string>;
  readonly answer: AnswerTranslation;
}

const translations: Partial<Record<WireName, Translation>> = {
  "openai.chat": {
    upstream: wireFormats["anthropic.messages"],
    request: chatToMessages,
    answer: messagesAnswer,
  },
  "anthropic.messages": {
    upstream: wireFormats["openai.chat"],
    request: messagesToChat,
    answer: chatAnswer,
  },
};

/** Undefined when a call of this format cannot be said in any that the provider speaks. */
export function translationTo(provider: Provider, format: WireFormat): Translation | undefined {
  const translation = translations[format.name];
  return translation && provider.apis.includes(translation.upstream.api) ? translation : undefined;
}
