import { err, ok } from "../../../lib/result.ts";
import { AnthropicMeter } from "./anthropic-meter.ts";
import { imagesIn, MessagesCall } from "./anthropic-request.ts";
import type { AgentHeaders, WireFormat } from "./format.ts";
import { anthropicRefusal, boundedTokens, malformed } from "./parts.ts";
import { withMembers } from "./said-body.ts";

/** The agent's own `anthropic-version`, if it is one. */
export function versionHeader(agent: AgentHeaders): Readonly<Record<string, string>> {
  const version = agent["anthropic-version"];
  return {
    "anthropic-version": typeof version === "string" && /^\d{4}-\d{2}-\d{2}$/.test(version) ? version : "2023-06-01",
  };
}

/** Anthropic messages (docs.anthropic.com/en/api/messages). */
export const anthropicFormat: WireFormat = {
  name: "anthropic.messages",
  api: "anthropic",
  path: () => "/messages",
  authorization: (secret) => ["x-api-key", secret],
  headers: versionHeader,
  parse(body, bytes, _from, said) {
    const parsed = MessagesCall.safeParse(body);
    if (!parsed.success) return err(malformed(parsed.error));
    const call = parsed.data;
    const pictures = imagesIn(call.messages);
    if (!pictures.ok) return pictures;
    return ok({
      model: call.model,
      stream: call.stream ?? false,
      choices: 1,
      outputTokens: call.max_tokens,
      inputTokensMax: boundedTokens(bytes - pictures.value.bytes, call.tools !== undefined),
      images: pictures.value.sizes,
      tools: call.tools?.length ?? 0,
      temperature: call.temperature ?? null,
      body: (upstreamModel, tokens) =>
        said
          ? withMembers(said, { model: upstreamModel, max_tokens: tokens })
          : Buffer.from(JSON.stringify({ ...call, model: upstreamModel, max_tokens: tokens })),
    });
  },
  meter: () => new AnthropicMeter(),
  refusalBody: anthropicRefusal,
};
