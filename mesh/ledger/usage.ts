import type { Write } from "../store/store.ts";
import type { UsageRow } from "../store/tables/ledger.ts";
import type { Scope, Usage } from "./ledger.ts";

/** What each scope has used of each model since the state was made. A total that would overflow stays at the largest safe integer. */
export class UsageTotals {
  readonly #totals = new Map<string, UsageRow>();

  constructor(rows: readonly UsageRow[]) {
    for (const row of rows) this.#totals.set(`${row.scope} ${row.model}`, row);
  }

  add(
    scope: Scope,
    model: string,
    { inputTokens, outputTokens }: Pick<Usage, "inputTokens" | "outputTokens">,
    microUsd: number,
  ): Write {
    return this.#put(scope, model, { calls: 1, inputTokens, outputTokens, microUsd });
  }

  #put(scope: Scope, model: string, more: Omit<UsageRow, "scope" | "model">): Write {
    const key = `${scope} ${model}`;
    const old = this.#totals.get(key) ?? { scope, model, calls: 0, inputTokens: 0, outputTokens: 0, microUsd: 0 };
    const row: UsageRow = {
      scope,
      model,
      calls: sum(old.calls, more.calls),
      inputTokens: sum(old.inputTokens, more.inputTokens),
      outputTokens: sum(old.outputTokens, more.outputTokens),
      microUsd: sum(old.microUsd, more.microUsd),
    };
    this.#totals.set(key, row);
    return ["ledger.putUsage", scope, model, row.calls, row.inputTokens, row.outputTokens, row.microUsd];
  }

  /** Takes back what was charged too high. */
  lower(scope: Scope, model: string, microUsd: number): Write {
    const charged = this.#totals.get(`${scope} ${model}`)?.microUsd ?? 0;
    return this.#put(scope, model, {
      calls: 0,
      inputTokens: 0,
      outputTokens: 0,
      microUsd: -Math.min(microUsd, charged),
    });
  }

  all(): UsageRow[] {
    return [...this.#totals.values()];
  }
}

const sum = (a: number, b: number): number => Math.min(a + b, Number.MAX_SAFE_INTEGER);
