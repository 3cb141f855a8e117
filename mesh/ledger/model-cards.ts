import type { ModelCard } from "../../protocol/money.ts";
import { rateFrom, type Price } from "./price.ts";
import { firstRate, type Prices } from "./prices.ts";

/** Every model that has a price, for people; `provider`: only that one's. `lists`: the providers of the built-in list. */
export function modelCards(prices: Prices, lists: readonly string[], provider?: string): ModelCard[] {
  return prices
    .names(lists)
    .map((name): readonly [string, string] => [name.slice(0, name.indexOf("/")), name.slice(name.indexOf("/") + 1)])
    .filter(([of]) => provider === undefined || of === provider)
    .flatMap(([of, model]) => {
      const price = prices.priceOf(of, model) ?? prices.priceOf(of, model, true);
      return price ? [cardOf(of, model, price)] : [];
    })
    .sort((a, b) => order(a.provider, b.provider) || order(a.model, b.model));
}

function cardOf(provider: string, model: string, price: Price): ModelCard {
  const borders = [...new Set([...price.input, ...price.output].map((step) => step.fromTokens))].filter((n) => n > 0);
  return {
    ...{ provider, model, contextTokens: price.contextTokens ?? null },
    ...{ input: firstRate(price.input), output: firstRate(price.output) },
    ...{ cacheRead: firstRate(price.cacheRead), cacheWrite: firstRate(price.cacheWrite) },
    ...{ worstInput: price.worstInput, worstOutput: price.worstOutput },
    tiers: borders
      .sort((a, b) => a - b)
      .map((fromTokens) => ({
        fromTokens,
        input: rateFrom(price.input, fromTokens),
        output: rateFrom(price.output, fromTokens),
      })),
    source: price.source,
  };
}

const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
