import type { Row } from "../store/store.ts";
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

/** What several calls of one form have spent, until the row that adds it goes out. */
class Added implements Behind {
  behind = false;
  readonly #form: Form;
  readonly #counts = [0, 0, 0, 0, 0, 0, 0];

  constructor(form: Form) {
    this.#form = form;
  }

  add(counts: readonly number[]): void {
    for (let at = 0; at < this.#counts.length; at++)
      this.#counts[at] = Math.min((this.#counts[at] ?? 0) + (counts[at] ?? 0), Number.MAX_SAFE_INTEGER);
  }

  lateRow(): Row {
    this.#form.added = undefined;
    return ["spending.add", ...this.#form.day, ...this.#counts];
  }
}

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

  /** One call; `usage` undefined: charged without the provider's figure, so its tokens are not known. Returns the counts. */
  add(form: Form, microUsd: number, usage: Usage | undefined): readonly number[] {
    const added = (form.added ??= new Added(form));
    const counts = usage ? [1, 0, ...countsOf(usage), microUsd] : [1, 1, 0, 0, 0, 0, microUsd];
    added.add(counts);
    this.#journal.changed(added);
    return counts;
  }

  /** The provider's figure for an estimate; `freed`: how much was charged too much. */
  correct(spent: About, places: readonly PlaceKey[], freed: number, usage: Usage): Row {
    return ["spending.correct", ...countsOf(usage), freed, this.#dayOf(places).startMs, ...keyOf({ ...spent, places })];
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

function countsOf({ inputTokens, cacheReadTokens = 0, cacheWriteTokens = 0, outputTokens }: Usage): number[] {
  return [
    Math.max(0, inputTokens - cacheReadTokens - cacheWriteTokens),
    cacheReadTokens,
    cacheWriteTokens,
    outputTokens,
  ];
}

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
