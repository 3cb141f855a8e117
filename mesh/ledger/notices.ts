import type { Clock } from "../../lib/clock.ts";
import { units } from "./amount.ts";
import { capOf, TELL_SHARE_MIN, type Place } from "./places.ts";
import type { Quantities } from "./amount.ts";
import type { Scope, Unit } from "./ledger.ts";
import type { WindowName } from "./windows.ts";

/** Told once for each window, unit and threshold. Amounts are what is settled: what is only reserved may come back. */
export type BudgetNotice = About &
  (
    | { readonly kind: "warning"; readonly percent: (typeof thresholds)[number] }
    /** What the day will cost if it goes on like this; more than its cap. */
    | { readonly kind: "forecast"; readonly forecast: number }
  );

interface About {
  readonly scope: Scope;
  readonly window: WindowName;
  readonly unit: Unit;
  readonly cap: number;
  readonly settled: number;
}

const thresholds = [80, 95] as const;
/** A forecast from less would be noise, as from less than `TELL_SHARE_MIN` of the cap. */
const FORECAST_ELAPSED_MIN = 1 / 24;

interface Told {
  startMs: number;
  percent: number;
  forecast: boolean;
}

/** Remembers what was told. What was passed before the mesh started counts as told. */
export class Notices {
  readonly #tell: (notice: BudgetNotice) => void;
  readonly #told = new Map<string, Told>();

  constructor(tell: (notice: BudgetNotice) => void) {
    this.#tell = tell;
  }

  /** Looks at a place whose settled total has changed; `silent`: only remembers. */
  look(place: Place, settled: Readonly<Quantities>, clock: Pick<Clock, "nowMs">, silent = false): void {
    for (const unit of place.capped) {
      const cap = capOf(place.cap, unit);
      if (settled[unit] < cap * TELL_SHARE_MIN) {
        // Far from anything to tell, which for a rolling window is to begin anew.
        if (place.spanMs !== undefined) this.#told.delete(`${place.scope} ${place.window} ${unit}`);
        continue;
      }
      const passed = thresholds.findLast((percent) => cap > 0 && settled[unit] * 100 >= cap * percent) ?? 0;
      const told = this.#of(place, unit, passed);
      const about = { scope: place.scope, window: place.window, unit, cap, settled: settled[unit] };
      for (const percent of thresholds) {
        if (percent > told.percent && percent <= passed && !silent) this.#tell({ kind: "warning", percent, ...about });
      }
      told.percent = Math.max(told.percent, passed);
      const nowMs = clock.nowMs();
      if (place.window === "day" && !told.forecast) {
        const forecast = forecastOf(place, cap, settled[unit], nowMs);
        told.forecast = forecast !== undefined;
        if (forecast !== undefined && !silent) this.#tell({ kind: "forecast", forecast, ...about });
      }
      if (place.spanMs === undefined) place.tellFrom[unit] = nextToTell(place, cap, told, nowMs);
    }
  }

  forget(scope: Scope): void {
    for (const unit of units) this.#told.delete(`${scope} run ${unit}`);
  }

  #of(place: Place, unit: Unit, passed: number): Told {
    const key = `${place.scope} ${place.window} ${unit}`;
    const told = this.#told.get(key);
    // A rolling window has no end: it begins anew when it has emptied.
    const over = place.spanMs !== undefined ? passed === 0 : told?.startMs !== place.startMs;
    if (told && !over) return told;
    const fresh = { startMs: place.startMs, percent: 0, forecast: false };
    this.#told.set(key, fresh);
    return fresh;
  }
}

/** How much must be settled before there is more to tell: what is spent and what is elapsed only grow. */
function nextToTell({ window, startMs, endMs }: Place, cap: number, told: Told, nowMs: number): number {
  const percent = thresholds.find((each) => each > told.percent);
  const warning = percent === undefined ? Infinity : Math.floor((cap * percent) / 100);
  if (window !== "day" || told.forecast) return warning;
  const elapsed = (nowMs - startMs) / (endMs - startMs);
  return Math.min(warning, Math.floor(cap * Math.max(TELL_SHARE_MIN, elapsed < FORECAST_ELAPSED_MIN ? 0 : elapsed)));
}

function forecastOf({ startMs, endMs }: Place, cap: number, settled: number, atMs: number): number | undefined {
  const elapsed = (atMs - startMs) / (endMs - startMs);
  if (elapsed < FORECAST_ELAPSED_MIN || elapsed > 1 || settled < cap * TELL_SHARE_MIN) return undefined;
  const forecast = Math.round(Math.min(settled / elapsed, Number.MAX_SAFE_INTEGER));
  return forecast > cap ? forecast : undefined;
}
