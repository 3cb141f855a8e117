import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock as clock } from "../../../lib/clock.ts";
import { flatPrice, worstCase } from "../../ledger/price.ts";
import { createPrices } from "../../ledger/prices.ts";
import { builtInProviders, type Provider } from "../providers.ts";
import { drawnQualities, drawnSizes, drawnTokensMax, type Drawn } from "./drawn-tokens.ts";

const openai = builtInProviders["openai"] as Provider;
const prices = createPrices({ clock });
const bound = (model: string, drawn: Drawn, provider = openai) => {
  const price = prices.priceOf("openai", model);
  assert.ok(price, model);
  return drawnTokensMax(provider, model, price, drawn);
};

/** What a picture costs, in US dollars, as it is published: by quality, for the sizes in their order. */
const publishedUsd = {
  "gpt-image-1": { low: [0.011, 0.016, 0.016], medium: [0.042, 0.063, 0.063], high: [0.167, 0.25, 0.25] },
  "gpt-image-1-mini": { low: [0.005, 0.006, 0.006], medium: [0.011, 0.015, 0.015], high: [0.036, 0.052, 0.052] },
} as const;

test("what is held for a picture is its published price or more, and never much more", () => {
  for (const [model, table] of Object.entries(publishedUsd))
    for (const quality of drawnQualities)
      for (const [column, size] of drawnSizes.entries()) {
        const tokens = bound(model, { size, quality });
        const price = prices.priceOf("openai", model);
        assert.ok(tokens.ok && price);
        const usd = worstCase(price, 0, tokens.value, 1).microUsd / 1e6;
        const published = table[quality][column] ?? NaN;
        // The published prices are rounded to a tenth of a cent.
        assert.ok(usd > published - 0.002 && usd <= published + 0.0006, `${model} ${quality} ${size}: ${usd}`);
      }
});

test("what the provider chooses counts as the dearest", () => {
  for (const drawn of [
    { size: "auto", quality: "auto" },
    { size: "auto", quality: "high" },
    { size: "1024x1536", quality: "auto" },
  ] as const)
    assert.deepEqual(bound("gpt-image-1", drawn), { ok: true, value: 6_240 });
  assert.deepEqual(bound("gpt-image-1", { size: "auto", quality: "low" }), { ok: true, value: 408 });
});

test("a model without a table, of another provider, or with two prices for its output has no bound", () => {
  const drawn: Drawn = { size: "1024x1024", quality: "low" };
  for (const model of ["gpt-image-2", "gpt-image-1.5", "gpt-4o", "gpt-5-image"])
    assert.equal(bound(model, drawn).ok, false, model);
  for (const model of ["dall-e-2", "dall-e-3"]) assert.equal(prices.priceOf("openai", model), undefined, model);
  const azure: Provider = { ...openai, name: "cloud", hosting: { kind: "azure", apiVersion: "2024-10-21" } };
  const mine: Provider = { ...openai, name: "mine" };
  for (const provider of [azure, mine, builtInProviders["together"] as Provider])
    assert.equal(bound("gpt-image-1", drawn, provider).ok, false, provider.name);
  const apart = { ...flatPrice("test", 1, 10), worstOutput: 32 };
  const refused = drawnTokensMax(openai, "gpt-image-1", apart, drawn);
  assert.ok(!refused.ok && /one price for text and another/.test(refused.error.reason));
});
