import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { systemClock as clock } from "../../lib/clock.ts";
import { randomId as ids } from "../../lib/id.ts";
import type { Audit } from "../audit/audit.ts";
import { anthropicFormat } from "../egress/wire/anthropic.ts";
import type { ModelCall, WireFormat } from "../egress/wire/format.ts";
import { geminiFormat } from "../egress/wire/gemini.ts";
import { openaiFormat } from "../egress/wire/openai.ts";
import { createLedger } from "../ledger/create.ts";
import { flatPrice, worstCase } from "../ledger/price.ts";
import { openStore } from "../store/open.ts";
import { settle } from "./settlement.ts";

const folder = mkdtempSync(join(tmpdir(), "cordon-settlement-"));
const store = await openStore({ path: folder, mode: "inline" });
const audit = { record: () => Promise.resolve() } as unknown as Audit;
const ledger = await createLedger({ store, audit, clock, ids, timeZone: "UTC", caps: () => ({ day: {}, month: {} }) });
after(async () => {
  await store.close();
  rmSync(folder, { recursive: true });
});

const answered = { kind: "answered", billed: "seen", scrubbed: 0, reason: "complete" } as const;
const MOST = Number.MAX_SAFE_INTEGER;
const price = flatPrice("test", 1_000_000, 2_000_000);
const lies: readonly (readonly [WireFormat, object])[] = [
  [
    anthropicFormat,
    {
      ...{ type: "message", role: "assistant", content: [{ type: "text", text: "hi" }] },
      usage: { input_tokens: MOST, cache_read_input_tokens: MOST, output_tokens: 1 },
    },
  ],
  [
    geminiFormat,
    {
      candidates: [{ index: 0, content: { parts: [{ text: "hi" }] }, finishReason: "STOP" }],
      usageMetadata: { promptTokenCount: 1, candidatesTokenCount: MOST, thoughtsTokenCount: MOST },
    },
  ],
  [
    openaiFormat,
    {
      choices: [{ index: 0, message: { content: "hi" }, finish_reason: "stop" }],
      usage: { prompt_tokens: MOST, completion_tokens: 1 },
    },
  ],
];

for (const [format, answer] of lies) {
  test(`a report that no ${format.name} call can have earned is charged as none, and its hold ends`, async () => {
    const call = { inputTokensMax: 100, outputTokens: 10, choices: 1 } as ModelCall;
    for (let round = 0; round < 3; round++) {
      const held = ledger.reserve(["agent:a"], worstCase(price, 100, 10, 1), "p/m");
      assert.ok(held.ok);
      const meter = format.meter();
      meter.read(answer as never);
      assert.ok(meter.complete && meter.usage);
      const settled = settle(ledger, { call, hold: held.value, price, meter, outcome: answered });
      assert.equal(settled.detail["charged"], "reservation");
      assert.deepEqual([settled.tokens, settled.microUsd], [110, 120]);
      await store.commit([...held.value.writes, ...settled.writes]);
      assert.deepEqual(ledger.release(held.value).writes, [], "it has ended");
    }
  });
}

/** A stream of `words` deltas of 20 bytes, then what the provider says of it, if anything. */
function streamed(words: number, report?: object) {
  const meter = openaiFormat.meter();
  for (let word = 0; word < words; word++)
    meter.read({ choices: [{ index: 0, delta: { content: "x".repeat(20) }, finish_reason: null }] });
  if (report === undefined) return meter;
  meter.read({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }] });
  meter.read({ choices: [], usage: report as never });
  return meter;
}
const outputOf = (meter: ReturnType<typeof streamed>): unknown => {
  const call = { inputTokensMax: 100, outputTokens: 900, choices: 1 } as ModelCall;
  const held = ledger.reserve(["agent:a"], worstCase(price, 100, 900, 1), "p/m");
  assert.ok(held.ok);
  return settle(ledger, { call, hold: held.value, price, meter, outcome: answered }).detail["output_tokens"];
};

test("a report that is lower than what has passed does not count: each delta is a token at least", () => {
  assert.equal(outputOf(streamed(40, { prompt_tokens: 5, completion_tokens: 1 })), 40);
  assert.equal(outputOf(streamed(40, { prompt_tokens: 5, completion_tokens: 60 })), 60);
  assert.equal(outputOf(streamed(40, { prompt_tokens: 5, completion_tokens: 0 })), 40);
});

test("an answer that broke off is charged by the bytes that have passed, as no token is shorter than one", () => {
  assert.equal(outputOf(streamed(40)), 800);
});
