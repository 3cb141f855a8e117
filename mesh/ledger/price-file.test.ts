import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { systemClock } from "../../lib/clock.ts";
import { limits } from "../../protocol/limits.ts";
import { costOf, worstCase } from "./price.ts";
import { readPriceFile, type PriceFile } from "./price-file.ts";
import { createPrices, type PriceDisagreement } from "./prices.ts";

const entry = { provider: "openai", model: "gpt-4o", input: 2.5, output: 10 };
const file = (...models: object[]): object => ({ format: "cordon-prices/1", version: "2026-11-22", models });
const read = (value: unknown) => readPriceFile(Buffer.from(JSON.stringify(value)));
const good = (value: unknown): PriceFile => {
  const found = read(value);
  assert.ok(found.ok, found.ok ? "" : found.error);
  return found.value;
};
const usage = (inputTokens: number, outputTokens: number) => ({
  ...{ inputTokens, outputTokens, cacheReadTokens: 0, cacheWriteTokens: 0 },
});

test("rates, tiers, the cache and the size of a model are read; money is whole", () => {
  const { models, version } = good(
    file({
      ...entry,
      ...{ context_tokens: 128_000, cache_read: 1.25, output_reasoning: 12 },
      tiers: [{ from_tokens: 200_000, input: 5, cache_write: 7 }],
    }),
  );
  const price = models.get("openai/gpt-4o");
  assert.ok(price);
  assert.deepEqual([version, price.source, price.contextTokens], ["2026-11-22", "price list 2026-11-22", 128_000]);
  assert.equal(costOf(price, usage(1_000, 1_000)).microUsd, 2_500 + 12_000, "reasoning is the dearer output");
  assert.equal(costOf(price, usage(200_000, 0)).microUsd, 1_000_000, "the tier holds for the whole call");
  assert.deepEqual([price.worstInput, price.worstOutput], [7_000_000, 12_000_000]);
});

test("what is not understood, twice there, negative or too large is refused, and the place is named", () => {
  const faults: readonly (readonly [value: unknown, fault: RegExp])[] = [
    [{ ...file(entry), format: "cordon-prices/2" }, /`format`/],
    [{ ...file(entry), more: 1 }, /the list/],
    [file(), /`models`/],
    [file({ ...entry, outptu: 1 }), /`models\.0`/],
    [file({ ...entry, input: -1 }), /`models\.0\.input`/],
    [file({ ...entry, input: 1e9 }), /`models\.0\.input`/],
    [file({ ...entry, input: "2.5" }), /`models\.0\.input`/],
    [file({ ...entry, output: undefined }), /`models\.0\.output`/],
    [file({ ...entry, context_tokens: 0 }), /`models\.0\.context_tokens`/],
    [file({ ...entry, provider: "../x" }), /`models\.0\.provider`/],
    [file(entry, entry), /twice/],
    [{ ...file(entry), version: "" }, /`version`/],
    [[], /the list/],
  ];
  for (const [value, fault] of faults) {
    const found = read(value);
    assert.ok(!found.ok, JSON.stringify(value));
    assert.match(found.error, fault);
  }
  const large = readPriceFile(Buffer.alloc(limits.ledger.priceFileBytesMax + 1, 32));
  assert.ok(!large.ok && /bytes/.test(large.error));
  assert.ok(!readPriceFile(Buffer.from('{"format":1,"format":2}')).ok);
});

test("no rate that a file can state makes a call dearer than its worst case (property)", () => {
  const rate = fc.double({ min: 0, max: 1_000, noNaN: true });
  const tier = fc.record({ from_tokens: fc.integer({ min: 1, max: 50_000 }), input: rate, output: rate });
  fc.assert(
    fc.property(
      rate,
      rate,
      rate,
      fc.array(tier, { maxLength: 3 }),
      fc.nat(99_999),
      fc.nat(99_999),
      fc.nat(99_999),
      (input, output, cacheWrite, tiers, a, b, c) => {
        const { models } = good(file({ ...entry, input, output, cache_write: cacheWrite, tiers }));
        const price = models.get("openai/gpt-4o");
        assert.ok(price);
        const cost = costOf(price, { inputTokens: a, cacheReadTokens: 0, cacheWriteTokens: b, outputTokens: c });
        assert.ok(cost.microUsd <= worstCase(price, a + b, c, 1).microUsd);
      },
    ),
    { seed: 20_261_122, numRuns: 300 },
  );
});

test("a list that is brought in stands before the built-in one and behind the fleet file; a disagreement is told once", () => {
  const told: PriceDisagreement[] = [];
  const overrides = [{ provider: "openai", model: "o3", inputRate: 7, outputRate: 7 }];
  const prices = createPrices({ clock: systemClock, overrides, onDisagreement: (found) => told.push(found) });
  assert.equal(prices.priceOf("openai", "gpt-4o")?.worstInput, 2_500_000);
  assert.equal(prices.priceOf("openai", "brand-new"), undefined);
  prices.use(good(file({ ...entry, input: 3 }, { ...entry, model: "o3" }, { ...entry, model: "brand-new" })));
  for (let n = 0; n < 3; n++) assert.equal(prices.priceOf("openai", "gpt-4o")?.worstInput, 3_000_000);
  assert.equal(prices.priceOf("openai", "o3")?.source, "fleet file");
  assert.equal(prices.priceOf("openai", "brand-new")?.worstOutput, 10_000_000);
  assert.match(prices.source, /^price list 2026-11-22; genai-prices/);
  assert.deepEqual(
    told.map(({ model, input, otherInput }) => [model, input, otherInput]),
    [["openai/gpt-4o", 3_000_000, 2_500_000]],
  );
  prices.use(undefined);
  assert.equal(prices.priceOf("openai", "gpt-4o")?.worstInput, 2_500_000);
  assert.equal(prices.priceOf("openai", "brand-new"), undefined, "no price, no call again");
});

test("where the built-in lists disagree, the dearer is in use, and that is told", () => {
  const told: string[] = [];
  const prices = createPrices({ clock: systemClock, onDisagreement: ({ model }) => told.push(model) });
  assert.equal(prices.priceOf("mistral", "mistral-small-latest")?.worstInput, 150_000);
  assert.deepEqual(told, ["mistral/mistral-small-latest"]);
});

test("what a model can hold is known of most listed models", () => {
  const prices = createPrices({ clock: systemClock });
  assert.equal(prices.priceOf("openai", "gpt-4o")?.contextTokens, 128_000);
});
