/** Where a call with sound can go, and that a price by time is one for sound alone. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../lib/clock.ts";
import { builtInProviders } from "../egress/providers.ts";
import type { ModelCall } from "../egress/wire/format.ts";
import { wireFormats } from "../egress/wire/formats.ts";
import { createPrices } from "../ledger/prices.ts";
import { doorInMemory } from "../../test/fleet/door-services.ts";
import { linksOf } from "./model-links.ts";

const prices = createPrices({ clock: { ...systemClock, nowMs: () => Date.parse("2026-11-01") } });
const models = ["whisper-1", "gpt-4o-transcribe", "gpt-4o"].map((name) => `openai/${name}`);

function linked(format: "openai.transcriptions" | "openai.chat", model: string, more: Partial<ModelCall> = {}) {
  const { services } = doorInMemory(
    { prices, providers: new Map(Object.entries(builtInProviders)), aliases: new Map(), modelLimits: new Map() },
    { models },
  );
  const call: ModelCall = {
    ...{ model, stream: false, choices: 1, outputTokens: null, inputTokensMax: 10, images: [], tools: 0 },
    ...{ temperature: null, body: () => Buffer.alloc(0), ...more },
  };
  return linksOf(services, { agent: "a", sandbox: "sbx" }, { body: {}, call, format: wireFormats[format] });
}

test("a model that is paid by time is held by time, and its meter reads time", async () => {
  const found = await linked("openai.transcriptions", "openai/whisper-1", { heard: { ms: 61_001 } });
  assert.ok(found.ok);
  const [{ call, format, price }] = found.value.links;
  assert.deepEqual([call.inputTokensMax, call.outputTokens, price.byTime], [10 + 620, 0, true]);
  const meter = format.meter();
  meter.read({ text: "x", usage: { type: "duration", seconds: 61 } });
  assert.equal(meter.usage?.inputTokens, 610);
});

test("a model that is paid by tokens is held at the rate of sound, and its meter reads tokens", async () => {
  const found = await linked("openai.transcriptions", "openai/gpt-4o-transcribe", { heard: { ms: 61_001 } });
  assert.ok(found.ok);
  const [{ call, format, price }] = found.value.links;
  assert.deepEqual([call.inputTokensMax, call.outputTokens], [10 + 1_240, 2_000]);
  assert.equal(price.input[0]?.rate, 6_000_000);
  const meter = format.meter();
  meter.read({ text: "x", usage: { type: "duration", seconds: 61 } });
  assert.equal(meter.usage, null);
});

test("no text by a price that is stated by time, and no sound by a model that has no bound for it", async () => {
  const text = await linked("openai.chat", "openai/whisper-1");
  assert.ok(!text.ok && /no price is known/.test(text.error.reason));
  const sound = await linked("openai.transcriptions", "openai/gpt-4o", { heard: { ms: 1 } });
  assert.ok(!sound.ok && /no bound is known/.test(sound.error.reason));
  const strange = await linked("openai.transcriptions", "openai/gpt-4o-mini-transcribe", { heard: { ms: 1 } });
  assert.ok(!strange.ok && strange.error.code === "denied");
});
