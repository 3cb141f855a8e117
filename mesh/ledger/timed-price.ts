import type { ModelPrice } from "@pydantic/genai-prices";
import { flatPrice, type Price } from "./price.ts";

/** Both say what an hour of sound costs that is heard. */
const NAMES: ReadonlySet<string> = new Set(["audio_hours", "input_audio_hours"]);

/** A tenth of a second counts as a token: then a cap in tokens means the same for models that count sound so. */
const TOKENS_PER_HOUR = 36_000;

/** The dearest of several prices for an hour of sound; undefined where one of them has another part. */
export function timedPrice(source: string, lists: readonly ModelPrice[]): Price | undefined {
  const values = lists.flatMap((list) => Object.entries(list).filter(([, value]) => value !== undefined));
  const hourly = values.map(([name, value]) => (NAMES.has(name) && typeof value === "number" ? value : Infinity));
  const dearest = Math.max(...hourly);
  if (hourly.length === 0 || !(dearest >= 0 && dearest <= HOUR_USD_MAX)) return undefined;
  // US dollars for an hour → micro-USD for a million tokens, rounded up past the noise of a binary fraction.
  const rate = Math.ceil(Number(((dearest * 1e12) / TOKENS_PER_HOUR).toFixed(3)));
  return { ...flatPrice(`${source}, by time`, rate, 0), byTime: true };
}

/** Above that a price is a wrong unit. */
const HOUR_USD_MAX = 1_000;
