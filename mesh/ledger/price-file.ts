import { z } from "zod";
import { parseJson } from "../../lib/json.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import { limits } from "../../protocol/limits.ts";
import { compilePrice, type Price } from "./price.ts";

/**
 * A list of prices that an operator brings in, for machines without a way to the network. JSON, strict:
 *
 *   { "format": "cordon-prices/1", "version": "2026-11-22",
 *     "models": [ { "provider": "anthropic", "model": "claude-sonnet-4-5", "context_tokens": 1000000,
 *                   "input": 3, "output": 15, "cache_read": 0.3, "cache_write": 3.75,
 *                   "tiers": [ { "from_tokens": 200000, "input": 6, "output": 22.5 } ] } ] }
 *
 * Rates are US dollars for a million tokens. A rate of the cache, of reasoning (`output_reasoning`) or of sound
 * (`input_audio`, `output_audio`) that is absent is that of input or output. A tier holds for a whole call whose
 * input reaches `from_tokens`; a rate that it does not name stays.
 */
export interface PriceFile {
  readonly version: string;
  readonly models: ReadonlyMap<string, Price>;
}

/** No model costs more than 100,000 dollars for a million tokens; larger is a wrong unit. */
const Usd = z.number().min(0).max(100_000);
const rates = {
  cache_read: Usd.optional(),
  cache_write: Usd.optional(),
  input_audio: Usd.optional(),
  output_audio: Usd.optional(),
  output_reasoning: Usd.optional(),
};
const rateNames = ["input", "output", ...(Object.keys(rates) as (keyof typeof rates)[])] as const;

const Entry = z.strictObject({
  provider: z.string().regex(/^[a-z][a-z0-9-]{0,63}$/, "must be the name of a provider"),
  model: z.string().regex(/^[A-Za-z0-9._:/@-]{1,190}$/, "must be the provider's own name of the model"),
  context_tokens: z.int().min(1).max(1e9).optional(),
  ...{ input: Usd, output: Usd, ...rates },
  tiers: z
    .array(
      z.strictObject({ from_tokens: z.int().min(1).max(1e9), input: Usd.optional(), output: Usd.optional(), ...rates }),
    )
    .max(limits.ledger.priceTiersMax)
    .optional(),
});

const Form = z.strictObject({
  format: z.literal("cordon-prices/1"),
  version: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$/, "must be a short word, for example a date"),
  models: z.array(Entry).min(1).max(limits.ledger.priceFileModelsMax),
});

/** The fault names the place in the file. Nothing of a file with a fault is used. */
export function readPriceFile(bytes: Uint8Array): Result<PriceFile, string> {
  if (bytes.length > limits.ledger.priceFileBytesMax)
    return err(`the list has more than ${limits.ledger.priceFileBytesMax} bytes`);
  const json = parseJson(bytes, 8);
  if (!json.ok) return err(`the list is not JSON: ${json.error}`);
  const form = Form.safeParse(json.value);
  if (!form.success) {
    const [issue] = form.error.issues;
    return err(`\`${(issue?.path ?? []).join(".") || "the list"}\`: ${issue?.message ?? "is not understood"}`);
  }
  const { version } = form.data;
  const models = new Map<string, Price>();
  for (const entry of form.data.models) {
    const name = `${entry.provider}/${entry.model}`;
    if (models.has(name)) return err(`\`${name}\` stands in the list twice`);
    const price = compile(entry, `price list ${version}`);
    if (!price) return err(`the prices of \`${name}\` cannot be understood`);
    models.set(name, price);
  }
  return ok({ version, models });
}

function compile(entry: z.infer<typeof Entry>, source: string): Price | undefined {
  const tiers = [...(entry.tiers ?? [])].sort((a, b) => a.from_tokens - b.from_tokens);
  const list: Record<string, number | { base: number; tiers: { start: number; price: number }[] }> = {};
  for (const name of rateNames) {
    const base = entry[name];
    const steps = tiers.flatMap((tier) => {
      const price = tier[name];
      return price === undefined ? [] : [{ start: tier.from_tokens, price }];
    });
    // A rate that only a tier names costs before it what input or output cost.
    const before = base ?? (steps.length > 0 ? entry[name.startsWith("output") ? "output" : "input"] : undefined);
    if (before !== undefined) list[`${name}_mtok`] = steps.length > 0 ? { base: before, tiers: steps } : before;
  }
  const price = compilePrice(source, [list], entry.output === 0);
  if (!price) return undefined;
  return entry.context_tokens === undefined ? price : { ...price, contextTokens: entry.context_tokens };
}
