import type { Row } from "../store/store.ts";
import type { UsageRow } from "../store/tables/ledger.ts";
import type { Behind, Journal } from "./journal.ts";
import type { Scope, Usage } from "./ledger.ts";

/** What one scope has used of one model. A sum that would overflow stays at the largest safe integer. */
class UsageTotal implements Behind {
  row: UsageRow;
  behind = false;

  constructor(row: UsageRow) {
    this.row = row;
  }

  add(calls: number, inputTokens: number, outputTokens: number, microUsd: number): void {
    const { row } = this;
    this.row = {
      scope: row.scope,
      model: row.model,
      calls: sum(row.calls, calls),
      inputTokens: sum(row.inputTokens, inputTokens),
      outputTokens: sum(row.outputTokens, outputTokens),
      microUsd: sum(row.microUsd, microUsd),
    };
  }

  lateRow(): Row {
    const { scope, model, calls, inputTokens, outputTokens, microUsd } = this.row;
    return ["ledger.putUsage", scope, model, calls, inputTokens, outputTokens, microUsd];
  }
}

/** What each scope has used of each model since the state was made. */
export class UsageTotals {
  /** By model, then by scope. */
  readonly #totals = new Map<string, Map<string, UsageTotal>>();
  readonly #journal: Journal;

  constructor(rows: readonly UsageRow[], journal: Journal) {
    this.#journal = journal;
    for (const row of rows) this.#of(row.scope, row.model).row = row;
  }

  add(
    scope: Scope,
    model: string,
    { inputTokens, outputTokens }: Pick<Usage, "inputTokens" | "outputTokens">,
    microUsd: number,
  ): void {
    const total = this.#of(scope, model);
    total.add(1, inputTokens, outputTokens, microUsd);
    this.#journal.changed(total);
  }

  /** Takes back what was charged too high. */
  lower(scope: Scope, model: string, microUsd: number): void {
    const total = this.#of(scope, model);
    total.add(0, 0, 0, -Math.min(microUsd, total.row.microUsd));
    this.#journal.changed(total);
  }

  all(): UsageRow[] {
    return [...this.#totals.values()].flatMap((scopes) => [...scopes.values()].map(({ row }) => row));
  }

  #of(scope: string, model: string): UsageTotal {
    let scopes = this.#totals.get(model);
    if (!scopes) this.#totals.set(model, (scopes = new Map()));
    let total = scopes.get(scope);
    if (!total)
      scopes.set(
        scope,
        (total = new UsageTotal({ scope, model, calls: 0, inputTokens: 0, outputTokens: 0, microUsd: 0 })),
      );
    return total;
  }
}

const sum = (a: number, b: number): number => Math.min(a + b, Number.MAX_SAFE_INTEGER);
