import { err, ok } from "../../../lib/result.ts";
import type { WireFormat } from "./format.ts";
import { imagesOf } from "./images.ts";
import { boundedTokens, malformed, openaiRefusal } from "./parts.ts";
import { ResponsesMeter } from "./responses-meter.ts";
import { ResponsesCall } from "./responses-request.ts";

/** OpenAI Responses (platform.openai.com/docs/api-reference/responses). */
export const responsesFormat: WireFormat = {
  name: "openai.responses",
  api: "openai",
  path: () => "/responses",
  authorization: (secret) => ["authorization", `Bearer ${secret}`],
  headers: () => ({}),
  parse(body, bytes) {
    const parsed = ResponsesCall.safeParse(body);
    if (!parsed.success) return err(malformed(parsed.error));
    const call = parsed.data;
    const pictures = imagesOf(imageUrls(call));
    if (!pictures.ok) return pictures;
    return ok({
      model: call.model,
      stream: call.stream ?? false,
      choices: 1,
      outputTokens: call.max_output_tokens ?? null,
      inputTokensMax: boundedTokens(bytes - pictures.value.bytes, call.tools !== undefined),
      images: pictures.value.sizes,
      tools: call.tools?.length ?? 0,
      temperature: call.temperature ?? null,
      body: (upstreamModel, tokens) =>
        Buffer.from(JSON.stringify({ ...call, model: upstreamModel, max_output_tokens: tokens, store: false })),
    });
  },
  meter: () => new ResponsesMeter(),
  refusalBody: openaiRefusal,
};

function imageUrls({ input }: ResponsesCall): string[] {
  if (typeof input === "string") return [];
  return input.flatMap((item) => {
    const content = "output" in item ? item.output : "role" in item ? item.content : "";
    if (typeof content === "string") return [];
    return content.flatMap((part) => (part.type === "input_image" ? [part.image_url] : []));
  });
}
