import type { Row } from "../store/store.ts";
import type { SpendingRow } from "../store/tables/spending.ts";
import type { About, DayColumns, Form } from "./forms.ts";
import type { Behind, Journal } from "./journal.ts";
import type { Usage } from "./ledger.ts";
import type { PlaceKey } from "./places.ts";
import { calendar } from "./windows.ts";

interface Day {
  readonly startMs: number;
  readonly endMs: number;
  /** `YYYY-MM-DD` in the fleet's time zone. */
  readonly name: string;
}

/** Milliseconds → `YYYY-MM-DD` in a time zone (IANA name). */
export function dayNames(timeZone: string): (atMs: number) => string {
  // This locale writes dates as ISO 8601 does.
  const format = new Intl.DateTimeFormat("en-CA-u-ca-iso8601-nu-latn", {
    ...{ timeZone, year: "numeric", month: "2-digit", day: "2-digit" },
  });
  return (atMs) => format.format(atMs);
}

/** What one call has spent: the columns of `usage_day` but for the number of calls; `estimates` is 1 or 0. */
export type DayCharge = Pick<
  SpendingRow,
  "estimates" | "inputTokens" | "cacheReadTokens" | "cacheWriteTokens" | "outputTokens" | "microUsd"
>;

/** What several calls of one form have spent, until the row that adds it goes out. */
export class Added implements Behind {
  behind = false;
  readonly #form: Form;
  #calls = 0;
  #estimates = 0;
  #input = 0;
  #cacheRead = 0;
  #cacheWrite = 0;
  #output = 0;
  #microUsd = 0;

  constructor(form: Form) {
    this.#form = form;
  }

  add(charge: DayCharge): void {
    this.#calls = sum(this.#calls, 1);
    this.#estimates = sum(this.#estimates, charge.estimates);
    this.#input = sum(this.#input, charge.inputTokens);
    this.#cacheRead = sum(this.#cacheRead, charge.cacheReadTokens);
    this.#cacheWrite = sum(this.#cacheWrite, charge.cacheWriteTokens);
    this.#output = sum(this.#output, charge.outputTokens);
    this.#microUsd = sum(this.#microUsd, charge.microUsd);
  }

  lateRow(): Row {
    this.#form.added = undefined;
    const tokens = [this.#input, this.#cacheRead, this.#cacheWrite, this.#output];
    return ["spending.add", ...this.#form.day, this.#calls, this.#estimates, ...tokens, this.#microUsd];
  }
}

/** One that would overflow stays at the largest safe integer. */
const sum = (a: number, b: number): number => Math.min(a + b, Number.MAX_SAFE_INTEGER);

/** The rows of what was spent on each day, by whom and for what. Only rows: no cap is held by them. */
export class DailySpending {
  readonly #windowAt: ReturnType<typeof calendar>;
  readonly #name: (atMs: number) => string;
  #last: Day | undefined;
  readonly #journal: Journal;

  constructor(timeZone: string, journal: Journal) {
    this.#journal = journal;
    this.#windowAt = calendar(timeZone);
    this.#name = dayNames(timeZone);
  }

  /** One call. */
  add(form: Form, charge: DayCharge): void {
    const added = (form.added ??= new Added(form));
    added.add(charge);
    this.#journal.changed(added);
  }

  /** The provider's figure for an estimate; `freed`: how much was charged too much. */
  correct(spent: About, places: readonly PlaceKey[], freed: number, usage: Usage): Row {
    const { inputTokens, cacheReadTokens, cacheWriteTokens, outputTokens } = dayCharge(usage, 0, false);
    const tokens = [inputTokens, cacheReadTokens, cacheWriteTokens, outputTokens];
    return ["spending.correct", ...tokens, freed, this.#dayOf(places).startMs, ...keyOf({ ...spent, places })];
  }

  /** The columns of a row that are the same for all calls of a form: where they count says when, and whose they are. */
  columns(form: About & { readonly places: readonly PlaceKey[] }): DayColumns {
    const { startMs, endMs, name } = this.#dayOf(form.places);
    return [startMs, ...keyOf(form), name, endMs];
  }

  /** Every reservation of an agent counts in days; one for a run alone belongs to the start of time. */
  #dayOf(places: readonly PlaceKey[]): Day {
    const startMs = places.find(({ window }) => window === "day")?.startMs ?? 0;
    if (this.#last?.startMs === startMs) return this.#last;
    this.#last = { startMs, endMs: this.#windowAt("day", startMs).endMs, name: this.#name(startMs) };
    return this.#last;
  }
}

export const dayCharge = (usage: Usage, microUsd: number, estimate: boolean): DayCharge =>
  estimate
    ? { estimates: 1, inputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0, outputTokens: 0, microUsd }
    : {
        estimates: 0,
        inputTokens: Math.max(0, usage.inputTokens - (usage.cacheReadTokens ?? 0) - (usage.cacheWriteTokens ?? 0)),
        cacheReadTokens: usage.cacheReadTokens ?? 0,
        cacheWriteTokens: usage.cacheWriteTokens ?? 0,
        outputTokens: usage.outputTokens,
        microUsd,
      };

/** agent, model, run, teams, tenant, credential, price: each scope of a call is known by the places where it counts. */
function keyOf({ places, model, credential, price, run }: About & { readonly places: readonly PlaceKey[] }): string[] {
  // In one pass: nothing else of a call looks at its scopes as text.
  const names = { agent: "", run: "", team: "", tenant: "" };
  for (const { scope } of places) {
    const mark = scope.indexOf(":");
    const kind = scope.slice(0, mark);
    if (mark < 0 || !isNamed(kind) || scope.includes(">")) continue;
    const name = scope.slice(mark + 1);
    const before = names[kind];
    if (before === "") names[kind] = name;
    else if (before !== name && !before.split(",").includes(name)) names[kind] = `${before},${name}`;
  }
  const { agent, team: teams, tenant } = names;
  return [agent, model, run || names.run, teams, tenant, credential, price];
}

const isNamed = (kind: string): kind is "agent" | "run" | "team" | "tenant" =>
  kind === "agent" || kind === "team" || kind === "tenant" || kind === "run";
