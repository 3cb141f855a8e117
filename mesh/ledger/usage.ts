import type { Write } from "../store/store.ts";
import type { UsageRow } from "../store/tables/ledger.ts";
import type { Scope, Usage } from "./ledger.ts";

/** What each scope has used of each model since the state was made. A total that would overflow stays at the largest safe integer. */
export class UsageTotals {
  readonly #totals = new Map<string, UsageRow>();

  constructor(rows: readonly UsageRow[]) {
    for (const row of rows) this.#totals.set(`${row.scope} ${row.model}`, row);
  }

  add(scope: Scope, model: string, usage: Pick<Usage, "inputTokens" | "outputTokens">, microUsd: number): Write {
    const key = `${scope} ${model}`;
    const old = this.#totals.get(key) ?? { scope, model, calls: 0, inputTokens: 0, outputTokens: 0, microUsd: 0 };
    const row: UsageRow = {
      scope,
      model,
      calls: sum(old.calls, 1),
      inputTokens: sum(old.inputTokens, usage.inputTokens),
      outputTokens: sum(old.outputTokens, usage.outputTokens),
      microUsd: sum(old.microUsd, microUsd),
    };
    this.#totals.set(key, row);
    return ["ledger.putUsage", scope, model, row.calls, row.inputTokens, row.outputTokens, row.microUsd];
  }

  all(): UsageRow[] {
    return [...this.#totals.values()];
  }
}

const sum = (a: number, b: number): number => Math.min(a + b, Number.MAX_SAFE_INTEGER);
