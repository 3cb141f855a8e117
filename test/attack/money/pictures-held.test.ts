/** What a call can cost with a model, from its parts: the bytes, the pictures that are sent, the pictures that are asked for. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock as clock } from "../../../lib/clock.ts";
import type { Json } from "../../../lib/json.ts";
import { doorInMemory } from "../../fleet/door-services.ts";
import { builtInProviders, type Provider } from "../../../mesh/egress/providers.ts";
import { imageTokensMax } from "../../../mesh/egress/wire/image-tokens.ts";
import type { WireFormat } from "../../../mesh/egress/wire/format.ts";
import { openaiFormat } from "../../../mesh/egress/wire/openai.ts";
import { imagesFormat } from "../../../mesh/egress/wire/openai-images.ts";
import { createPrices } from "../../../mesh/ledger/prices.ts";
import { linksOf } from "../../../mesh/door/model-links.ts";
import type { ModelLimits } from "../../../mesh/door/model-limits.ts";

const BYTES = 4_000;
const caller = { agent: "a", sandbox: "s" };

async function linked(format: WireFormat, body: Json, ceilings: ModelLimits = {}) {
  const { services, records } = doorInMemory(
    {
      providers: new Map(Object.entries(builtInProviders)),
      prices: createPrices({ clock }),
      aliases: new Map([["eye", { provider: "openai", model: "gpt-4o" }]]),
      modelLimits: new Map([["a", ceilings]]),
    },
    { modelPatterns: ["openai/*", "groq/*"] },
  );
  const parsed = format.parse(body, BYTES);
  assert.ok(parsed.ok, JSON.stringify(parsed));
  const found = await linksOf(services, caller, { body, call: parsed.value, format });
  return found.ok ? { call: found.value.links[0].call, records } : { refused: found.error, records };
}

function png(width: number, height: number): string {
  const file = Buffer.alloc(64);
  Buffer.from("89504e470d0a1a0a0000000d49484452", "hex").copy(file);
  file.writeUInt32BE(width, 16);
  file.writeUInt32BE(height, 20);
  return `data:image/png;base64,${file.toString("base64")}`;
}
const seen = (model: string, ...sizes: (readonly [number, number])[]): Json => ({
  model,
  messages: [
    {
      role: "user",
      content: sizes.map(([width, height]) => ({ type: "image_url", image_url: { url: png(width, height) } })),
    },
  ],
});

test("pictures that are sent along are held beside the bytes, each at its own bound, under any name of the model", async () => {
  const openai = builtInProviders["openai"] as Provider;
  const sizes = [
    [1_024, 1_024],
    [2_048, 4_096],
  ] as const;
  const bound = imageTokensMax(
    openai,
    "gpt-4o",
    sizes.map(([width, height]) => ({ width, height })),
  );
  assert.ok(bound.ok && bound.value > 1_500);
  const encoded = sizes.reduce((sum, [width, height]) => sum + png(width, height).split(",")[1]!.length, 0);
  for (const model of ["openai/gpt-4o", "eye"]) {
    const { call } = await linked(openaiFormat, seen(model, ...sizes));
    assert.equal(call?.inputTokensMax, BYTES - encoded + bound.value, model);
  }
  const none = await linked(openaiFormat, { model: "eye", messages: [{ role: "user", content: "hi" }] });
  assert.equal(none.call?.inputTokensMax, BYTES);
});

test("a picture to a model without a documented bound is no call, and the refusal is recorded", async () => {
  for (const model of ["groq/llama-3.3-70b-versatile", "openai/gpt-3.5-turbo"]) {
    const { refused, records } = await linked(openaiFormat, seen(model, [10, 10]));
    assert.match(refused?.reason ?? "", /no bound is known for the tokens of an image/, model);
    assert.equal(records.length, 1);
  }
});

test("a picture that is asked for has the tokens of its model; an agent's ceiling refuses it whole", async () => {
  const body = { model: "openai/gpt-image-1", prompt: "a cat", size: "1024x1024", quality: "high", n: 3 };
  const { call } = await linked(imagesFormat, body);
  assert.deepEqual([call?.outputTokens, call?.choices, call?.inputTokensMax], [4_160, 3, BYTES]);
  assert.equal((await linked(imagesFormat, body, { maxTokens: 4_160 })).call?.outputTokens, 4_160);
  for (const ceilings of [{ maxTokens: 4_159 }, { n: 2 }])
    assert.equal((await linked(imagesFormat, body, ceilings)).refused?.code, "denied");
  for (const model of ["openai/gpt-image-2", "openai/gpt-4o", "openai/dall-e-3"])
    assert.equal((await linked(imagesFormat, { ...body, model })).refused?.code, "unsupported", model);
});
