/** Transcription: what a form can say, what its sound can cost, and what its report is believed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { systemClock } from "../../../lib/clock.ts";
import { limits } from "../../../protocol/limits.ts";
import { createPrices } from "../../ledger/prices.ts";
import { costOf, flatPrice, worstCase } from "../../ledger/price.ts";
import { kindOf, playRelay } from "../testing/relay.ts";
import { builtInProviders, type Provider } from "../providers.ts";
import { FORM_TYPE, readFormData } from "./form-data.ts";
import { heardBound } from "./heard-tokens.ts";
import { TranscriptMeter, transcriptionsFormat, transcriptionsFormats } from "./openai-transcriptions.ts";
import { formOf, TYPE, waveOf, type TestPart } from "./testing/sound.ts";

const second = waveOf(Buffer.alloc(32_000, 3));
const file: TestPart = { name: "file", fileName: "a.wav", content: second };
const model: TestPart = { name: "model", content: "openai/whisper-1" };
const read = (parts: readonly TestPart[], type = TYPE) => {
  assert.ok(transcriptionsFormat.form);
  return transcriptionsFormat.form(type, formOf(parts));
};
const field = (name: string, content: string): TestPart => ({ name, content });

test("a call is understood whole, and written anew for its provider", async () => {
  const call = await read([
    ...[file, model, field("prompt", "Zürich"), field("language", "de"), field("response_format", "verbose_json")],
    ...[field("temperature", "0.2"), field("timestamp_granularities[]", "word"), field("stream", "false")],
  ]);
  assert.ok(call.ok);
  const { call: understood, value } = call.value;
  assert.deepEqual(
    [understood.model, understood.heard?.ms, understood.temperature, understood.choices, understood.stream],
    ["openai/whisper-1", 1_000, 0.2, 1, false],
  );
  assert.ok(understood.inputTokensMax >= Buffer.byteLength("Zürich"));
  const sent = await readFormData(FORM_TYPE, understood.body("whisper-1", 0, "openai"));
  assert.ok(sent.ok);
  const parts = new Map(sent.value.map(({ name, content }) => [name, content]));
  assert.equal(parts.get("model")?.toString(), "whisper-1");
  assert.equal(parts.get("prompt")?.toString(), "Zürich");
  assert.equal(parts.get("file")?.length, 44 + 48_000);
  // What tells calls apart knows the sound.
  const other = await read([{ ...file, content: waveOf(Buffer.alloc(32_000, 4)) }, model]);
  const same = await read([model, file]);
  assert.ok(other.ok && same.ok);
  assert.notDeepEqual((value as { file: string }).file, (other.value.value as { file: string }).file);
  assert.deepEqual((value as { file: string }).file, (same.value.value as { file: string }).file);
});

test("what is not known, is there twice or has no report is refused", async () => {
  const cases: Record<string, readonly TestPart[]> = {
    "no file": [model],
    "no model": [file],
    "two files": [file, file, model],
    "a file under another name": [file, model, { ...file, name: "audio" }],
    "a file for a model": [file, { ...file, name: "model" }],
    "a field for a file": [field("file", "hello"), model],
    "an unknown field": [file, model, field("include[]", "logprobs")],
    "a field of the prototype": [file, model, field("__proto__", "x")],
    chunks: [file, model, field("chunking_strategy", "auto")],
    "a stream": [file, model, field("stream", "true")],
    text: [file, model, field("response_format", "text")],
    subtitles: [file, model, field("response_format", "srt")],
    "a temperature that is none": [file, model, field("temperature", "1e-400")],
    "a temperature above one": [file, model, field("temperature", "1.5")],
    "a field that is no UTF-8": [file, model, { name: "prompt", content: Buffer.from([0xff]) }],
    "a field with our own boundary": [file, model, field("prompt", FORM_TYPE.split("=")[1] ?? "")],
    "no sound": [{ ...file, content: "RIFFxxxxWAVE" }, model],
    MP3: [{ ...file, fileName: "a.mp3", content: Buffer.from([0xff, 0xfb, 0x90, 0x64, 0, 0]) }, model],
  };
  assert.ok((await read([file, model])).ok);
  for (const [name, parts] of Object.entries(cases)) {
    const call = await read(parts);
    assert.ok(!call.ok, name);
    if (name === "MP3") assert.match(call.error.remedy, /ffmpeg .* pcm_s16le/);
  }
  assert.equal((await read([file, model], "application/json")).ok, false);
  assert.equal(transcriptionsFormat.parse({ model: "openai/whisper-1" }, 10).ok, false);
});

const { openai } = builtInProviders;
assert.ok(openai);
const prices = createPrices({ clock: { ...systemClock, nowMs: () => Date.parse("2026-11-01") } });
const priceOf = (name: string) => {
  const price = prices.priceOf("openai", name);
  assert.ok(price, name);
  return price;
};

test("a minute costs what the price list says, and no more is held than a few times that", () => {
  const minute = { ms: 60_000 };
  const held = (name: string): number => {
    const bound = heardBound(openai, name, priceOf(name), minute);
    assert.ok(bound.ok);
    return worstCase(bound.value.price, bound.value.inputTokens, bound.value.outputTokens, 1).microUsd;
  };
  assert.equal(held("whisper-1"), 6_000);
  // 1,200 tokens of sound at $6 for a million, and an answer of 2,000 tokens at $10.
  assert.equal(held("gpt-4o-transcribe"), 7_200 + 20_000);
  assert.equal(held("gpt-4o-mini-transcribe"), 3_600 + 10_000);
});

test("an honest report never costs more than what was held, and sound never less than its rate", () => {
  const names = ["whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe"];
  fc.assert(
    fc.property(fc.constantFrom(...names), fc.integer({ min: 1, max: 600_000 }), fc.nat(2_000), (name, ms, text) => {
      const price = priceOf(name);
      const bound = heardBound(openai, name, price, { ms });
      assert.ok(bound.ok);
      const { report, inputTokens, outputTokens } = bound.value;
      const meter = new TranscriptMeter(report);
      const usage =
        report === "time"
          ? { type: "duration", seconds: Math.round(ms / 1_000) }
          : { type: "tokens", input_tokens: Math.ceil(ms / 100), output_tokens: text, total_tokens: 0 };
      meter.read({ text: "x", usage });
      assert.ok(meter.usage);
      const cost = costOf(bound.value.price, meter.usage);
      const worst = worstCase(bound.value.price, inputTokens, outputTokens, 1);
      assert.ok(cost.microUsd <= worst.microUsd && cost.tokens <= worst.tokens, `${name} ${ms}`);
      if (report === "tokens") {
        const rate = name === "gpt-4o-transcribe" ? 6 : 3;
        assert.ok(cost.microUsd >= Math.ceil(ms / 100) * rate, "tokens of sound at the rate of sound, not of text");
      }
    }),
    { seed: 6, numRuns: 500 },
  );
});

test("no model without a bound: of one's own, of a cloud, of another name", () => {
  const price = flatPrice("test", 1, 1);
  const own: Provider = { ...openai, name: "own" };
  const azure: Provider = { ...openai, hosting: { kind: "azure", apiVersion: "1" } };
  const cases = [
    [own, "whisper-1"],
    [azure, "whisper-1"],
    [openai, "gpt-4o-transcribe-diarize"],
    [openai, "gpt-4o"],
    [openai, "__proto__"],
    [openai, "constructor"],
    [{ ...openai, name: "__proto__" }, "whisper-1"],
  ] as const;
  for (const [provider, name] of cases)
    assert.equal(heardBound(provider, name, price, { ms: 1 }).ok, false, `${provider.name}/${name}`);
});

test("a price by time is the price list's, and says so", () => {
  const price = priceOf("whisper-1");
  assert.equal(price.byTime, true);
  assert.match(price.source, /by time/);
  assert.equal(priceOf("gpt-4o-transcribe").byTime, undefined);
});

test("a report of another kind, of no sense or of nothing is none: the hold stands", () => {
  const usageOf = (report: "tokens" | "time", usage: object | null) => {
    const meter = new TranscriptMeter(report);
    meter.read({ text: "hello", ...(usage && { usage }) } as never);
    return meter.usage;
  };
  const tokens = { type: "tokens", input_tokens: 5, output_tokens: 2 };
  assert.equal(usageOf("tokens", tokens)?.inputTokens, 5);
  assert.equal(usageOf("time", { type: "duration", seconds: 8.2 })?.inputTokens, 90);
  assert.equal(usageOf("time", tokens), null);
  assert.equal(usageOf("tokens", { type: "duration", seconds: 3 }), null);
  for (const usage of [
    null,
    {},
    { ...tokens, type: "x" },
    { ...tokens, input_tokens: -1 },
    { ...tokens, output_tokens: "2" },
  ])
    assert.equal(usageOf("tokens", usage), null);
  for (const seconds of [-1, "3", null, 1e300, limits.sound.reportedSecondsMax + 1])
    assert.equal(usageOf("time", { type: "duration", seconds }), null);
  const meter = new TranscriptMeter("tokens");
  meter.read({ usage: tokens });
  assert.deepEqual([meter.usage, meter.complete], [null, false], "an answer without a text is none");
});

test("an answer without a report is charged as it was held; one with it as it was seen", async () => {
  for (const [report, usage, billed] of [
    ["tokens", `,"usage":{"type":"tokens","input_tokens":5,"output_tokens":2}`, "seen"],
    ["time", `,"usage":{"type":"tokens","input_tokens":5,"output_tokens":2}`, "unknown"],
    ["time", `,"usage":{"type":"duration","seconds":3}`, "seen"],
    ["time", "", "unknown"],
  ] as const) {
    const relay = playRelay({ format: transcriptionsFormats[report], stream: false });
    relay.start();
    relay.data(`{"text":"hello"${usage}}`);
    relay.end();
    assert.deepEqual(await kindOf(relay), ["answered", billed, "complete"]);
  }
});
