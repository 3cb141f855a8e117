import { err, ok, type Result } from "../../../lib/result.ts";
import { refusal, type Refusal } from "../../../protocol/refusal.ts";
import type { Price } from "../../ledger/price.ts";
import { familyOf, type Provider } from "../providers.ts";

export const drawnSizes = ["1024x1024", "1024x1536", "1536x1024"] as const;
export const drawnQualities = ["low", "medium", "high"] as const;

/** What is to be drawn. `auto`: the provider chooses, so the dearest counts. */
export interface Drawn {
  readonly size: (typeof drawnSizes)[number] | "auto";
  readonly quality: (typeof drawnQualities)[number] | "auto";
}

/** Tokens of one picture, by quality, for the sizes in their order. */
type Table = Readonly<Record<(typeof drawnQualities)[number], readonly [number, number, number]>>;

/** platform.openai.com/docs/guides/image-generation, "Cost and latency". */
const published: Table = { low: [272, 408, 400], medium: [1_056, 1_584, 1_568], high: [4_160, 6_240, 6_208] };

/**
 * The price of one picture is published for this model, too, in tenths of a cent ($0.005 to $0.052), and is above what
 * its tokens come to. So each is what the price, before it was rounded, can buy at $8 for a million tokens.
 */
const mini: Table = { low: [688, 813, 813], medium: [1_438, 1_938, 1_938], high: [4_563, 6_563, 6_563] };

const tables: Readonly<Record<string, Readonly<Record<string, Table>>>> = {
  openai: { "gpt-image-1": published, "gpt-image-1-mini": mini },
};

/** Upper bound of the tokens of one picture, or the refusal of a model that has none that holds. */
export function drawnTokensMax(
  provider: Provider,
  model: string,
  price: Price,
  { size, quality }: Drawn,
): Result<number, Refusal> {
  // The name of a deployment says nothing about the model behind it.
  const family = provider.hosting === undefined ? familyOf(provider) : "";
  // The scripted model draws as the documented one does.
  const table = family === "rehearsal" ? published : own(own(tables, family), model);
  if (!table)
    return refuse(
      `no bound is known for the tokens of a picture that \`${provider.name}/${model}\` draws`,
      "ask `openai/gpt-image-1` or `openai/gpt-image-1-mini`",
    );
  if (price.worstOutput !== price.output[0]?.rate)
    return refuse(
      `\`${provider.name}/${model}\` has one price for text and another for pictures, which its report does not keep apart`,
      "state one price for its output under `prices`",
    );
  const rows = quality === "auto" ? drawnQualities.map((each) => table[each]) : [table[quality]];
  const column = size === "auto" ? undefined : drawnSizes.indexOf(size);
  return ok(Math.max(...rows.flatMap((row) => (column === undefined ? row : (row[column] ?? Infinity)))));
}

const refuse = (what: string, remedy: string): Result<never, Refusal> => err(refusal("unsupported", what, remedy));

const own = <T>(record: Readonly<Record<string, T>> | undefined, key: string): T | undefined =>
  record && Object.hasOwn(record, key) ? record[key] : undefined;
