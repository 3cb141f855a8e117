import type { Write } from "../store/store.ts";
import type { Usage } from "./ledger.ts";
import type { PlaceKey } from "./places.ts";
import { calendar } from "./windows.ts";

/** What a row of a day is kept apart by, besides what its places say. */
interface Spent {
  readonly model: string;
  readonly credential: string;
  readonly price: string;
  /** Empty: that of the scopes. */
  readonly run: string;
}

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

/** The rows of what was spent on each day, by whom and for what. Only rows: no cap is held by them. */
export class DailySpending {
  readonly #windowAt: ReturnType<typeof calendar>;
  readonly #name: (atMs: number) => string;
  #last: Day | undefined;

  constructor(timeZone: string) {
    this.#windowAt = calendar(timeZone);
    this.#name = dayNames(timeZone);
  }

  /** One call; `usage` undefined: charged without the provider's figure, so its tokens are not known. */
  add(hold: Spent & { readonly places: readonly PlaceKey[] }, microUsd: number, usage: Usage | undefined): Write {
    const { startMs, endMs, name } = this.#dayOf(hold.places);
    const counts = usage ? countsOf(usage) : [0, 0, 0, 0];
    return ["spending.add", startMs, ...keyOf(hold), name, endMs, 1, usage ? 0 : 1, ...counts, microUsd];
  }

  /** The provider's figure for an estimate; `freed`: how much was charged too much. */
  correct(spent: Spent, places: readonly PlaceKey[], freed: number, usage: Usage): Write {
    return ["spending.correct", ...countsOf(usage), freed, this.#dayOf(places).startMs, ...keyOf({ ...spent, places })];
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

/** agent, model, run, teams, credential, price: each scope of a call is known by the places where it counts. */
function keyOf({ places, model, credential, price, run }: Spent & { readonly places: readonly PlaceKey[] }): string[] {
  const named = (kind: string): string[] => {
    const names: string[] = [];
    for (const { scope } of places) {
      if (!scope.startsWith(kind) || scope.includes(">")) continue;
      const name = scope.slice(kind.length);
      if (!names.includes(name)) names.push(name);
    }
    return names;
  };
  return [named("agent:").join(), model, run || named("run:").join(), named("team:").join(), credential, price];
}
