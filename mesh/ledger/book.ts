import { assert } from "../../lib/assert.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Id } from "../../lib/id.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import { limits } from "../../protocol/limits.ts";
import type { Store, Write } from "../store/store.ts";
import * as amounts from "./amount.ts";
import { isRunScope, least, minus, nothing, units, zero, type Quantities } from "./amount.ts";
import { change, Counters, lower, type Counter } from "./counters.ts";
import { CurrentWindows } from "./current-windows.ts";
import { aboutNothing, Forms } from "./forms.ts";
import { OpenHold, readPlaces } from "./hold.ts";
import { Journal } from "./journal.ts";
import type { Amount, BudgetRefusal, Caps, CapUnits, Departed, Hold, Ledger, Scope, Sent, Usage } from "./ledger.ts";
import { Notices, type BudgetNotice } from "./notices.ts";
import { Place, Places, type PlaceKey } from "./places.ts";
import { DailySpending, dayCharge, type DayCharge } from "./spending.ts";
import { UsageTotals } from "./usage.ts";
import { bucketsOf, type WindowName } from "./windows.ts";

interface BookParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly ids: Id;
  readonly caps: (scope: Scope) => Caps;
  readonly timeZone: string;
  readonly onNotice?: (notice: BudgetNotice) => void;
  /** Operations by which the tables may be behind; of simulations. */
  readonly journalOpsMax?: number;
}

/**
 * Holds, totals and caps in memory. Every change is made in one tick and returns the rows that make it durable. What each
 * call does counts by index: an iterator makes an object for each step.
 */
export class Book implements Ledger {
  readonly counters = new Counters();
  readonly usage: UsageTotals;
  readonly windows: CurrentWindows;
  readonly places: Places;
  readonly forms: Forms;
  readonly #store: Store;
  readonly #journal: Journal;
  readonly #clock: Clock;
  readonly #ids: Id;
  readonly #notices: Notices;
  readonly #spending: DailySpending;
  #lastId = "";
  readonly #open = new Map<Scope, CapUnits>();
  /** Runs and steps that have ended, oldest first: their totals stay in memory until their rows are long on disk. */
  readonly #closed = new Set<Scope>();
  /** Estimates that were corrected; the row may not be gone from the disk yet. */
  readonly #corrected = new Set<string>();
  /** The bucket in which each rolling window was last tidied. */
  readonly #tidied = new Map<WindowName, number>();

  constructor(parts: BookParts) {
    this.#store = parts.store;
    this.#clock = parts.clock;
    this.#ids = parts.ids;
    this.#journal = new Journal(parts.clock, parts.journalOpsMax);
    this.#spending = new DailySpending(parts.timeZone, this.#journal);
    this.forms = new Forms((form) => this.#spending.columns(form));
    this.#notices = new Notices(parts.onNotice ?? (() => {}));
    this.usage = new UsageTotals(parts.store.query.ledger.usage(), this.#journal);
    this.windows = new CurrentWindows({
      clock: parts.clock,
      timeZone: parts.timeZone,
      query: parts.store.query,
      onEnd: (kind, startMs) => this.counters.forgetBefore(kind, startMs),
    });
    const { counters, windows } = this;
    this.places = new Places({ counters, windows, caps: parts.caps, open: this.#open });
  }

  reserve(scopes: readonly Scope[], worst: Amount, model: string, sent: Sent = {}): Result<Hold, BudgetRefusal> {
    const { requests = 1, bytes = 0, destination, credential, price = "", run = "" } = sent;
    amounts.assertAmount(worst);
    amounts.assertCount(requests, "requests");
    amounts.assertCount(bytes, "bytes");
    assert(model.length <= limits.ledger.modelCharsMax, "a model name is short");
    const places = this.places.of(scopes, destination);
    const held: Quantities = { tokens: worst.tokens, usd: worst.microUsd, requests, bytes };
    const refused = this.places.refusal(places, held);
    if (refused) return err(refused);
    const id = this.#ids.next("hold");
    assert(id !== this.#lastId, "a hold has an id of its own");
    this.#lastId = id;
    const form = this.forms.of(scopes, places, { model, credential: credential ?? "", price, run });
    const { writes } = this.#journal;
    const atMs = this.#clock.nowMs();
    const hold = new OpenHold(this, { id, worst, writes, form, places, held, atMs, kept: "said" });
    for (let at = 0; at < places.length; at++) {
      const place = places[at] as Place;
      this.#change(place.counter, held, 1, NOTHING);
      this.#tidy(place);
    }
    this.#journal.opened(hold);
    return ok(hold);
  }

  spend(scopes: readonly Scope[], { requests, bytes, destination }: Departed): Result<readonly Write[], BudgetRefusal> {
    amounts.assertCount(requests, "requests");
    amounts.assertCount(bytes, "bytes");
    const places = this.places.of(scopes, destination);
    const wanted: Quantities = { tokens: 0, usd: 0, requests, bytes };
    const refused = this.places.refusal(places, wanted);
    if (refused) return err(refused);
    for (let at = 0; at < places.length; at++) {
      const place = places[at] as Place;
      this.#change(place.counter, NOTHING, 1, wanted);
      this.#tidy(place);
      if (!place.quiet) this.#look(place);
    }
    this.#journal.spent(this.forms.of(scopes, places, aboutNothing), wanted);
    return ok(this.#journal.writes);
  }

  left(scopes: readonly Scope[], destination?: string): Amount {
    const places = this.places.of(scopes, destination);
    let tokens = Infinity;
    let microUsd = Infinity;
    for (let at = 0; at < places.length; at++) {
      const place = places[at] as Place;
      const { cap } = place;
      if (cap.tokens === undefined && cap.usd === undefined) continue;
      const { settled, reserved } = this.places.used(place);
      if (cap.tokens !== undefined)
        tokens = Math.min(tokens, Math.max(0, cap.tokens - settled.tokens - reserved.tokens));
      if (cap.usd !== undefined) microUsd = Math.min(microUsd, Math.max(0, cap.usd - settled.usd - reserved.usd));
    }
    return { tokens, microUsd };
  }

  settle(hold: Hold, reported: Usage, { estimate = false }: { readonly estimate?: boolean } = {}) {
    amounts.assertUsage(reported);
    if (!OpenHold.isOpen(hold, this)) return { writes: [], above: nothing };
    const cost = least(reported.cost, hold.worst);
    const writes = this.#charge(hold, cost, reported, estimate);
    return { writes, above: minus(reported.cost, cost) };
  }

  release(hold: Hold, { unsent = false }: { readonly unsent?: boolean } = {}) {
    if (!OpenHold.isOpen(hold, this)) return { writes: [] };
    this.#end(hold, unsent ? NOTHING : { ...hold.held, tokens: 0, usd: 0 });
    return { writes: this.#journal.writes };
  }

  /** What a crash left open: charged in full, as an estimate. */
  endAtWorst(hold: OpenHold): readonly Write[] {
    const { worst } = hold;
    return this.#charge(hold, worst, { inputTokens: 0, outputTokens: 0, cost: worst }, true);
  }

  /** Ends a hold at `cost`. An estimate has a row of its own, at once. */
  #charge(hold: OpenHold, cost: Amount, usage: Usage, estimate: boolean): readonly Write[] {
    const { form, held } = hold;
    const charge = dayCharge(usage, cost.microUsd, estimate);
    this.#spending.add(form, charge);
    this.usage.add(form, usage, cost.microUsd);
    const settled = { tokens: cost.tokens, usd: cost.microUsd, requests: held.requests, bytes: held.bytes };
    this.#end(hold, settled, charge, usage);
    return estimate ? [...this.#journal.writes, estimateRow(hold, cost)] : this.#journal.writes;
  }

  correct(holdId: string, found: Usage) {
    amounts.assertUsage(found);
    const row = this.#corrected.has(holdId) ? undefined : this.#store.query.ledger.estimate(holdId);
    if (!row) return undefined;
    this.#corrected.add(holdId);
    const charged = { tokens: row.tokens, microUsd: row.microUsd };
    const freed = minus(charged, least(found.cost, charged));
    const writes: Write[] = [["ledger.deleteEstimate", holdId], ...this.#journal.writes];
    const scopes = new Set<Scope>();
    for (const place of readPlaces(row.places)) {
      if (!place.scope.includes(">")) scopes.add(place.scope);
      // A bucket that has left its rolling window is gone, and with it what was charged there.
      if (!this.bring(place)) continue;
      const counter = this.#counterAt(place);
      lower(counter, { ...NOTHING, tokens: freed.tokens, usd: freed.microUsd });
      this.#journal.changed(counter);
    }
    this.#journal.afterTables(this.#spending.correct(row, readPlaces(row.places), freed.microUsd, found));
    for (const scope of scopes) if (!isRunScope(scope)) this.usage.lower(scope, row.model, freed.microUsd);
    return { writes, freed };
  }

  openScope(scope: Scope, caps: CapUnits): void {
    assert(isRunScope(scope) && amounts.isScope(scope), "only runs and steps are opened");
    this.bring({ scope, window: "run", startMs: 0 });
    this.#closed.delete(scope);
    this.#open.set(scope, caps);
  }

  closeScope(scope: Scope): void {
    this.#open.delete(scope);
    this.#notices.forget(scope);
    this.#closed.add(scope);
    if (this.#closed.size <= CLOSED_KEPT) return;
    const [oldest] = this.#closed;
    if (oldest === undefined) return;
    this.#closed.delete(oldest);
    // One that still waits for an answer goes to the end of the line.
    if (!this.counters.forget(oldest, "run", 0)) this.#closed.add(oldest);
  }

  /** Brings the total of a place into memory; false when there is none, on disk neither. */
  bring({ scope, window, startMs }: PlaceKey): boolean {
    if (this.counters.has(scope, window, startMs)) return true;
    const row = this.#store.query.ledger.totalsAt(scope, window, startMs);
    if (row) this.counters.load([row]);
    return row !== undefined;
  }

  /** What was passed before the start is not told again. */
  lookSilently(): void {
    for (const { scope, window, startMs } of this.counters.all()) this.#look({ scope, window, startMs }, true);
  }

  #counterAt(place: PlaceKey): Counter {
    return place instanceof Place ? place.counter : this.counters.at(place.scope, place.window, place.startMs);
  }

  /** Ends a hold: what was reserved goes, `cost` of it stays as settled. */
  #end(hold: OpenHold, cost: Readonly<Quantities>, charge?: DayCharge, usage?: Usage): void {
    const { form, places, held } = hold;
    const current = this.places.areCurrent(places, form.scopes);
    for (let at = 0; at < places.length; at++) {
      const place = places[at] as PlaceKey;
      this.#change(this.#counterAt(place), held, -1, cost);
      if (!(current && place instanceof Place && place.quiet)) this.#look(place);
    }
    this.#journal.ended(hold, cost, charge, usage);
  }

  #change(counter: Counter, reserved: Readonly<Quantities>, sign: 1 | -1, settled: Readonly<Quantities>): void {
    change(counter, reserved, sign, settled);
    this.#journal.changed(counter);
  }

  #look(key: PlaceKey, silent = false): void {
    const { window, startMs } = key;
    const cap = this.places.capAt(key);
    const same = key instanceof Place && key.cap === cap ? key : undefined;
    if (same ? same.capped.length === 0 : units.every((unit) => cap[unit] === undefined)) return;
    const calendar = window === "day" || window === "month" ? this.windows.now()[window] : undefined;
    // A window that is over is nobody's concern any more.
    if (calendar && calendar.startMs !== startMs) return;
    const place = same ?? this.places.at(key, calendar?.endMs ?? startMs, cap);
    this.#notices.look(place, this.places.used(place).settled, this.#clock, silent);
  }

  /** The buckets that have left a rolling window go, when the next one begins. */
  #tidy({ window, startMs, spanMs }: Place): void {
    if (spanMs === undefined || this.#tidied.get(window) === startMs) return;
    this.#tidied.set(window, startMs);
    const { firstMs } = bucketsOf(spanMs, this.windows.latestMs());
    this.counters.forgetBefore(window, firstMs);
    this.#journal.withTables(["ledger.deleteBuckets", window, firstMs]);
  }
}

const NOTHING: Readonly<Quantities> = zero();
const CLOSED_KEPT = 1_000;

const estimateRow = ({ id, form, atMs }: OpenHold, cost: Amount): Write => [
  ...(["ledger.insertEstimate", id, form.placesText, cost.tokens, cost.microUsd] as const),
  ...[form.model, atMs, form.credential, form.price, form.run],
];
