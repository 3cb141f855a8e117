import { assert } from "../../lib/assert.ts";
import { isRunScope, units, zero, type Quantities } from "./amount.ts";
import type { Counters } from "./counters.ts";
import type { CurrentWindows } from "./current-windows.ts";
import type { BudgetRefusal, Caps, CapUnits, Scope } from "./ledger.ts";
import { bucketsOf, rollingSpanMs, type WindowName } from "./windows.ts";

/** Where an amount counts. `scope` may be `SCOPE>DESTINATION`. */
export interface PlaceKey {
  readonly scope: Scope;
  readonly window: WindowName;
  readonly startMs: number;
}

export interface Place extends PlaceKey {
  readonly cap: CapUnits;
  /** The end of the window; of a rolling one, of its bucket. */
  readonly endMs: number;
}

const NO_CAPS: CapUnits = {};
/** The last moment of ECMAScript time: a window that never ends. */
const END_OF_TIME_MS = 8_640_000_000_000_000;
const destinationScope = (scope: Scope, destination: string): Scope => `${scope}>${destination}` as Scope;

/** Knows where the scopes of a reservation count now, and what is used there. */
export class Places {
  readonly #counters: Counters;
  readonly #windows: CurrentWindows;
  readonly #caps: (scope: Scope) => Caps;
  readonly #open: ReadonlyMap<Scope, CapUnits>;

  constructor(parts: {
    readonly counters: Counters;
    readonly windows: CurrentWindows;
    readonly caps: (scope: Scope) => Caps;
    /** The runs and steps that are open, with their caps. */
    readonly open: ReadonlyMap<Scope, CapUnits>;
  }) {
    this.#counters = parts.counters;
    this.#windows = parts.windows;
    this.#caps = parts.caps;
    this.#open = parts.open;
  }

  of(scopes: readonly Scope[], destination?: string): Place[] {
    const places: Place[] = [];
    for (const scope of scopes) {
      if (isRunScope(scope)) {
        const cap = this.#open.get(scope);
        assert(cap, "a run or a step is opened before it spends");
        places.push({ scope, window: "run", startMs: 0, endMs: END_OF_TIME_MS, cap });
        continue;
      }
      const caps = this.#caps(scope);
      this.#add(places, scope, caps);
      const narrower = destination === undefined ? undefined : own(caps.destinations, destination);
      if (narrower && destination !== undefined) this.#add(places, destinationScope(scope, destination), narrower);
    }
    return places;
  }

  /** All that can be shown of a scope: its own places and those of the destinations that have caps. */
  shown(scope: Scope): Place[] {
    if (isRunScope(scope)) return this.#open.has(scope) ? this.of([scope]) : [];
    const places = this.of([scope]);
    for (const [destination, caps] of Object.entries(this.#caps(scope).destinations ?? {}))
      this.#add(places, destinationScope(scope, destination), caps);
    return places;
  }

  #add(places: Place[], scope: Scope, caps: Pick<Caps, "day" | "month" | "rolling">): void {
    const { day, month } = this.#windows.now();
    places.push({ scope, window: "day", startMs: day.startMs, endMs: day.endMs, cap: caps.day });
    places.push({ scope, window: "month", startMs: month.startMs, endMs: month.endMs, cap: caps.month });
    for (const { spanMs, cap } of caps.rolling ?? []) {
      const { startMs, widthMs } = bucketsOf(spanMs, this.#windows.latestMs());
      places.push({ scope, window: `rolling:${spanMs}`, startMs, endMs: startMs + widthMs, cap });
    }
  }

  /** The caps that hold now where a hold was made, or none. */
  capAt({ scope, window }: PlaceKey): CapUnits {
    if (window === "run") return this.#open.get(scope) ?? NO_CAPS;
    const mark = scope.indexOf(">");
    const caps =
      mark < 0 ? this.#caps(scope) : own(this.#caps(scope.slice(0, mark) as Scope).destinations, scope.slice(mark + 1));
    if (window === "day" || window === "month") return caps?.[window] ?? NO_CAPS;
    return caps?.rolling?.find(({ spanMs }) => window === `rolling:${spanMs}`)?.cap ?? NO_CAPS;
  }

  used({ scope, window, startMs }: PlaceKey): { readonly settled: Quantities; readonly reserved: Quantities } {
    const spanMs = rollingSpanMs(window);
    if (spanMs === undefined) return this.#counters.peek(scope, window, startMs);
    const sum = { settled: zero(), reserved: zero() };
    const { firstMs, widthMs } = bucketsOf(spanMs, this.#windows.latestMs());
    for (let at = firstMs; at <= startMs; at += widthMs) {
      const bucket = this.#counters.peek(scope, window, at);
      for (const unit of units) {
        sum.settled[unit] += bucket.settled[unit];
        sum.reserved[unit] += bucket.reserved[unit];
      }
    }
    return sum;
  }

  /** The first cap, in the order of the places, that `wanted` does not fit. */
  refusal(places: readonly Place[], wanted: Readonly<Quantities>): BudgetRefusal | undefined {
    for (const place of places) {
      const { settled, reserved } = this.used(place);
      for (const unit of units) {
        const cap = capOf(place.cap, unit);
        const left = cap - settled[unit] - reserved[unit];
        if (wanted[unit] <= left) continue;
        const { scope, window } = place;
        const about = { scope, window, unit, cap, settled: settled[unit] };
        return { ...about, left: Math.max(0, left), wanted: wanted[unit], resetsAtMs: this.#resetsAtMs(place) };
      }
    }
    return undefined;
  }

  /** Of a rolling window: when its oldest bucket that is not empty has left it. */
  #resetsAtMs({ scope, window, endMs }: Place): number {
    const spanMs = rollingSpanMs(window);
    if (spanMs === undefined) return endMs;
    const { firstMs, startMs, widthMs } = bucketsOf(spanMs, this.#windows.latestMs());
    let at = firstMs;
    for (; at < startMs; at += widthMs) {
      const { settled, reserved } = this.#counters.peek(scope, window, at);
      if (units.some((unit) => settled[unit] + reserved[unit] > 0)) break;
    }
    return at + widthMs + spanMs;
  }
}

/** The largest safe integer where there is none. */
export function capOf(caps: CapUnits, unit: keyof CapUnits): number {
  const cap = caps[unit];
  if (cap === undefined) return Number.MAX_SAFE_INTEGER;
  assert(Number.isSafeInteger(cap) && cap >= 0, "a cap is a natural number");
  return cap;
}

const own = <T>(record: Readonly<Record<string, T>> | undefined, key: string): T | undefined =>
  record && Object.hasOwn(record, key) ? record[key] : undefined;
