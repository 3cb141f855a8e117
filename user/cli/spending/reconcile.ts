import type { SpendingRow } from "../../../protocol/money.ts";
import type { UsageLine } from "./usage-export.ts";

/** One day of one model in the ledger and in the provider's own figures. */
export interface Difference {
  readonly day: string;
  readonly model: string;
  readonly ours: Side;
  readonly theirs: Side;
  /** Ours less theirs. */
  readonly microUsd: number;
  readonly says: string;
  readonly agrees: boolean;
}
interface Side {
  readonly calls: number | null;
  readonly tokens: number;
  readonly microUsd: number;
}

/** Providers round each line to cents, and every call here is rounded up to a whole micro-USD. */
const TOLERANCE_MICRO_USD = 10_000;
const TOLERANCE_SHARE = 0.005;

/** Every day and model that either side knows, the largest difference first. `rows` are sums by model. */
export function reconcile(rows: readonly SpendingRow[], lines: readonly UsageLine[]): Difference[] {
  const sides = new Map<string, { day: string; model: string; ours: Side; theirs: Side; estimates: number }>();
  const at = (day: string, model: string) => {
    const key = `${day} ${model}`;
    const found = sides.get(key) ?? { day, model, ours: NOTHING, theirs: NOTHING, estimates: 0 };
    sides.set(key, found);
    return found;
  };
  for (const row of rows) {
    const side = at(row.day, row.model);
    const tokens = row.inputTokens + row.cacheReadTokens + row.cacheWriteTokens + row.outputTokens;
    side.ours = sum(side.ours, { calls: row.calls, tokens, microUsd: row.microUsd });
    side.estimates += row.estimates;
  }
  for (const line of lines) {
    const side = at(line.day, line.model);
    side.theirs = sum(side.theirs, line);
  }
  return [...sides.values()]
    .map(({ estimates, ...side }) => ({
      ...side,
      microUsd: side.ours.microUsd - side.theirs.microUsd,
      ...judged(side.ours, side.theirs, estimates),
    }))
    .sort((a, b) => Math.abs(b.microUsd) - Math.abs(a.microUsd));
}

const NOTHING: Side = { calls: 0, tokens: 0, microUsd: 0 };
const sum = (a: Side, b: Side): Side => ({
  calls: a.calls === null || b.calls === null ? null : a.calls + b.calls,
  tokens: a.tokens + b.tokens,
  microUsd: a.microUsd + b.microUsd,
});

function judged(ours: Side, theirs: Side, estimates: number): { readonly says: string; readonly agrees: boolean } {
  const difference = ours.microUsd - theirs.microUsd;
  const allowed = Math.max(TOLERANCE_MICRO_USD, theirs.microUsd * TOLERANCE_SHARE);
  if (Math.abs(difference) <= allowed) return { says: "agrees", agrees: true };
  if (difference > 0 && estimates > 0)
    return { says: `${estimates} calls were charged their reservation: take the provider's figure`, agrees: false };
  if (difference > 0) return { says: "the provider charged less: look at its price", agrees: false };
  if (ours.microUsd === 0) return { says: "spent with the key, but not through the mesh: rotate it", agrees: false };
  if (theirs.tokens > ours.tokens)
    return { says: "more tokens than came through the mesh: is the key used elsewhere?", agrees: false };
  return { says: "the provider's price is higher: bring a newer list with `cordon models update`", agrees: false };
}
