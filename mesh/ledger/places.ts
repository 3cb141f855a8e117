import { assert } from "../../lib/assert.ts";
import { assertScopes, isRunScope, units, zero, type Quantities } from "./amount.ts";
import type { Counter, Counters } from "./counters.ts";
import type { CurrentWindows } from "./current-windows.ts";
import type { BudgetRefusal, Caps, CapUnits, Scope, Unit } from "./ledger.ts";
import { bucketsOf, rollingSpanMs, type Window, type WindowKind, type WindowName } from "./windows.ts";

/** Where an amount counts. `scope` may be `SCOPE>DESTINATION`. */
export interface PlaceKey {
  readonly scope: Scope;
  readonly window: WindowName;
  readonly startMs: number;
}

/** A place of this moment: it is made once, and serves every reservation until its window or its cap is another. */
export class Place implements PlaceKey {
  readonly scope: Scope;
  readonly window: WindowName;
  readonly startMs: number;
  /** The end of the window; of a rolling one, of its bucket. */
  readonly endMs: number;
  readonly cap: CapUnits;
  /** Of a rolling window. */
  readonly spanMs: number | undefined;
  /** The units that have a cap. */
  readonly capped: readonly Unit[];
  /** Of each unit how much must be settled before there can be anything to tell (`Notices`). */
  readonly tellFrom: Quantities;
  readonly #counters: Counters;
  /** Where the name of the destination begins, or -1. */
  readonly mark: number;
  #counter: Counter | undefined;
  #text: string | undefined;

  constructor(counters: Counters, key: PlaceKey, endMs: number, cap: CapUnits) {
    this.scope = key.scope;
    this.mark = key.scope.indexOf(">");
    this.window = key.window;
    this.startMs = key.startMs;
    this.endMs = endMs;
    this.cap = cap;
    this.spanMs = rollingSpanMs(key.window);
    this.capped = units.filter((unit) => cap[unit] !== undefined);
    const from = this.spanMs === undefined ? TELL_SHARE_MIN : 0;
    this.tellFrom = zero();
    for (const unit of units) this.tellFrom[unit] = cap[unit] === undefined ? Infinity : capOf(cap, unit) * from;
    this.#counters = counters;
  }

  /** Nothing that is settled here can be worth a notice. */
  get quiet(): boolean {
    const { settled } = this.used;
    const { tokens, usd, requests, bytes } = this.tellFrom;
    return settled.tokens < tokens && settled.usd < usd && settled.requests < requests && settled.bytes < bytes;
  }

  /** Makes it if there is none; it stays the same as long as anything is reserved in it. */
  get counter(): Counter {
    return (this.#counter ??= this.#counters.at(this.scope, this.window, this.startMs));
  }

  get text(): string {
    return (this.#text ??= JSON.stringify([this.scope, this.window, this.startMs]));
  }

  get used(): Pick<Counter, "settled" | "reserved"> {
    return this.#counter ?? this.#counters.peek(this.scope, this.window, this.startMs);
  }
}

/** One place in the JSON of a hold. */
export const placeText = (place: PlaceKey): string =>
  place instanceof Place ? place.text : JSON.stringify([place.scope, place.window, place.startMs]);

/** The places of one scope, as long as nothing of this has changed. */
interface Kept {
  readonly dayCap: CapUnits;
  readonly monthCap: CapUnits;
  readonly day: Window;
  readonly month: Window;
  readonly places: readonly Place[];
}

/** The places of a list of scopes, as long as its caps and its windows are the same. */
interface Found {
  readonly places: readonly Place[];
  readonly destination: string | undefined;
  readonly caps: readonly Caps[];
  readonly day: Window;
  readonly month: Window;
  /** When the first bucket of a rolling window ends. */
  readonly untilMs: number;
}

type WindowCaps = Pick<Caps, "day" | "month" | "rolling">;

const NO_CAPS: CapUnits = {};
/** Of a cap: below it there is nothing to tell. A rolling window is looked at always: it can empty. */
export const TELL_SHARE_MIN = 0.2;
/** The last moment of ECMAScript time: a window that never ends. */
const END_OF_TIME_MS = 8_640_000_000_000_000;
const destinationScope = (scope: Scope, destination: string): Scope => `${scope}>${destination}` as Scope;

/** Knows where the scopes of a reservation count now, and what is used there. */
export class Places {
  readonly #counters: Counters;
  readonly #windows: CurrentWindows;
  readonly #caps: (scope: Scope) => Caps;
  readonly #open: ReadonlyMap<Scope, CapUnits>;
  readonly #kept = new Map<Scope, Kept>();
  /** By lists that nobody can change. */
  readonly #found = new WeakMap<readonly Scope[], Found>();

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

  of(scopes: readonly Scope[], destination?: string): readonly Place[] {
    const found = this.#found.get(scopes);
    const same = found && (found.destination === destination || !found.caps.some((caps) => caps.destinations));
    if (same && this.#holds(scopes, found)) return found.places;
    assertScopes(scopes);
    const places: Place[] = [];
    const now = this.#windows.now();
    for (const scope of scopes) {
      if (isRunScope(scope)) {
        const cap = this.#open.get(scope);
        assert(cap, "a run or a step is opened before it spends");
        places.push(this.at({ scope, window: "run", startMs: 0 }, END_OF_TIME_MS, cap));
        continue;
      }
      const caps = this.#caps(scope);
      this.#add(places, scope, caps, now);
      const narrower = destination === undefined ? undefined : own(caps.destinations, destination);
      if (narrower && destination !== undefined) this.#add(places, destinationScope(scope, destination), narrower, now);
    }
    this.#keep(scopes, destination, places);
    return places;
  }

  /** Whether places that were found for these scopes are still theirs. */
  areCurrent(places: readonly PlaceKey[], scopes: readonly Scope[]): boolean {
    const found = this.#found.get(scopes);
    return found?.places === places && this.#holds(scopes, found);
  }

  /** Not those of runs and steps: their totals can leave memory, and come back. */
  #keep(scopes: readonly Scope[], destination: string | undefined, places: readonly Place[]): void {
    if (!Object.isFrozen(scopes) || scopes.some(isRunScope)) return;
    const caps = scopes.map((scope) => this.#caps(scope));
    const { day, month } = this.#windows.now();
    const untilMs = Math.min(...places.map(({ spanMs, endMs }) => (spanMs === undefined ? Infinity : endMs)));
    this.#found.set(scopes, { places, destination, caps, day, month, untilMs });
  }

  #holds(scopes: readonly Scope[], { caps, day, month, untilMs }: Found): boolean {
    const now = this.#windows.now();
    if (now.day !== day || now.month !== month) return false;
    if (untilMs !== Infinity && this.#windows.latestMs() >= untilMs) return false;
    for (let at = 0; at < caps.length; at++) if (this.#caps(scopes[at] as Scope) !== caps[at]) return false;
    return true;
  }

  /** All that can be shown of a scope: its own places and those of the destinations that have caps. */
  shown(scope: Scope): readonly Place[] {
    if (isRunScope(scope)) return this.#open.has(scope) ? this.of([scope]) : [];
    const places = [...this.of([scope])];
    for (const [destination, caps] of Object.entries(this.#caps(scope).destinations ?? {}))
      this.#add(places, destinationScope(scope, destination), caps, this.#windows.now());
    return places;
  }

  #add(places: Place[], scope: Scope, caps: WindowCaps, now: Readonly<Record<WindowKind, Window>>): void {
    for (const place of this.#fixed(scope, caps, now)) places.push(place);
    for (const { spanMs, cap } of caps.rolling ?? []) {
      const { startMs, widthMs } = bucketsOf(spanMs, this.#windows.latestMs());
      places.push(this.at({ scope, window: `rolling:${spanMs}`, startMs }, startMs + widthMs, cap));
    }
  }

  /** Day and month. */
  #fixed(scope: Scope, caps: WindowCaps, { day, month }: Readonly<Record<WindowKind, Window>>): readonly Place[] {
    const kept = this.#kept.get(scope);
    const same = kept?.day === day && kept.month === month && kept.dayCap === caps.day && kept.monthCap === caps.month;
    if (same) return kept.places;
    const places = [
      this.at({ scope, window: "day", startMs: day.startMs }, day.endMs, caps.day),
      this.at({ scope, window: "month", startMs: month.startMs }, month.endMs, caps.month),
    ];
    this.#kept.set(scope, { dayCap: caps.day, monthCap: caps.month, day, month, places });
    return places;
  }

  /** A place where a hold was made, with the cap that holds there now. */
  at(key: PlaceKey, endMs: number, cap: CapUnits): Place {
    return new Place(this.#counters, key, endMs, cap);
  }

  /** The caps that hold now where a hold was made, or none. */
  capAt(place: PlaceKey): CapUnits {
    const { scope, window } = place;
    if (window === "run") return this.#open.get(scope) ?? NO_CAPS;
    const mark = place instanceof Place ? place.mark : scope.indexOf(">");
    const caps =
      mark < 0 ? this.#caps(scope) : own(this.#caps(scope.slice(0, mark) as Scope).destinations, scope.slice(mark + 1));
    if (window === "day" || window === "month") return caps?.[window] ?? NO_CAPS;
    return caps?.rolling?.find(({ spanMs }) => window === `rolling:${spanMs}`)?.cap ?? NO_CAPS;
  }

  used(place: Place): { readonly settled: Quantities; readonly reserved: Quantities } {
    const { scope, window, startMs, spanMs } = place;
    if (spanMs === undefined) return place.used;
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
    for (let at = 0; at < places.length; at++) {
      const place = places[at] as Place;
      const { settled, reserved } = this.used(place);
      const { cap: caps } = place;
      const fits =
        wanted.tokens <= sound(caps.tokens) - settled.tokens - reserved.tokens &&
        wanted.usd <= sound(caps.usd) - settled.usd - reserved.usd &&
        wanted.requests <= sound(caps.requests) - settled.requests - reserved.requests &&
        wanted.bytes <= sound(caps.bytes) - settled.bytes - reserved.bytes;
      if (fits) continue;
      for (const unit of units) {
        const cap = capOf(caps, unit);
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
export const capOf = (caps: CapUnits, unit: Unit): number => sound(caps[unit]);

function sound(cap: number | undefined): number {
  if (cap === undefined) return Number.MAX_SAFE_INTEGER;
  assert(Number.isSafeInteger(cap) && cap >= 0, "a cap is a natural number");
  return cap;
}

const own = <T>(record: Readonly<Record<string, T>> | undefined, key: string): T | undefined =>
  record && Object.hasOwn(record, key) ? record[key] : undefined;
