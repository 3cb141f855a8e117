import { err, ok } from "../../../lib/result.ts";
import type { Json } from "../../../lib/json.ts";
import { versionHeader } from "./anthropic.ts";
import { CountCall, imagesIn } from "./anthropic-request.ts";
import type { Meter, WireFormat } from "./format.ts";
import { fieldsOf } from "./json-fields.ts";
import { anthropicRefusal, malformed } from "./parts.ts";

/** Anthropic count_tokens (docs.anthropic.com/en/api/messages-count-tokens): free of charge, and generates nothing. */
export const countFormat: WireFormat = {
  name: "anthropic.count",
  api: "anthropic",
  path: () => "/messages/count_tokens",
  authorization: (secret) => ["x-api-key", secret],
  headers: versionHeader,
  parse(body) {
    const parsed = CountCall.safeParse(body);
    if (!parsed.success) return err(malformed(parsed.error));
    const call = parsed.data;
    const pictures = imagesIn(call.messages);
    if (!pictures.ok) return pictures;
    return ok({
      ...{ model: call.model, stream: false, choices: 1, outputTokens: 0, inputTokensMax: 0 },
      ...{ images: [], tools: call.tools?.length ?? 0, temperature: null },
      body: (upstreamModel) => Buffer.from(JSON.stringify({ ...call, model: upstreamModel })),
    });
  },
  meter: freeMeter,
  refusalBody: anthropicRefusal,
};

/** Nothing is charged for a count. */
function freeMeter(): Meter {
  const meter = {
    ...{ outputTokensSeen: 0, outputBytesSeen: 0, complete: false },
    usage: { inputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0, outputTokens: 0 },
    read(data: Json) {
      meter.complete = typeof fieldsOf(data)["input_tokens"] === "number";
      return [];
    },
    passed: () => {},
    ending: (reason: string) => `: cordon ${reason}\n\n`,
  };
  return meter;
}
