import type { Row } from "../store/store.ts";
import type { UsageRow } from "../store/tables/ledger.ts";
import type { Form } from "./forms.ts";
import type { Behind, Journal } from "./journal.ts";
import type { Scope, Usage } from "./ledger.ts";

/** What one scope has used of one model. A sum that would overflow stays at the largest safe integer. */
export class UsageTotal implements Behind {
  readonly scope: string;
  readonly model: string;
  #calls = 0;
  #inputTokens = 0;
  #outputTokens = 0;
  #microUsd = 0;
  behind = false;

  constructor(scope: string, model: string) {
    this.scope = scope;
    this.model = model;
  }

  add(calls: number, inputTokens: number, outputTokens: number, microUsd: number): void {
    this.#calls = sum(this.#calls, calls);
    this.#inputTokens = sum(this.#inputTokens, inputTokens);
    this.#outputTokens = sum(this.#outputTokens, outputTokens);
    this.#microUsd = sum(this.#microUsd, microUsd);
  }

  get row(): UsageRow {
    const { scope, model } = this;
    const [calls, inputTokens, outputTokens] = [this.#calls, this.#inputTokens, this.#outputTokens];
    return { scope, model, calls, inputTokens, outputTokens, microUsd: this.#microUsd };
  }

  lateRow(): Row {
    const counts = [this.#calls, this.#inputTokens, this.#outputTokens, this.#microUsd];
    return ["ledger.putUsage", this.scope, this.model, ...counts];
  }
}

/** What each scope has used of each model since the state was made. */
export class UsageTotals {
  /** By model, then by scope. */
  readonly #totals = new Map<string, Map<string, UsageTotal>>();
  readonly #journal: Journal;

  constructor(rows: readonly UsageRow[], journal: Journal) {
    this.#journal = journal;
    for (const { scope, model, calls, inputTokens, outputTokens, microUsd } of rows)
      this.#of(scope, model).add(calls, inputTokens, outputTokens, microUsd);
  }

  /** One call of a form. */
  add(form: Form, { inputTokens, outputTokens }: Usage, microUsd: number): void {
    form.totals ??= form.charged.map((scope) => this.#of(scope, form.model));
    for (let at = 0; at < form.totals.length; at++) {
      const total = form.totals[at] as UsageTotal;
      total.add(1, inputTokens, outputTokens, microUsd);
      this.#journal.changed(total);
    }
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
    if (!total) scopes.set(scope, (total = new UsageTotal(scope, model)));
    return total;
  }
}

const sum = (a: number, b: number): number => Math.min(a + b, Number.MAX_SAFE_INTEGER);
