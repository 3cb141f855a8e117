const DAY_MS = 86_400_000;
const MINUTE_MS = 60_000;
/** Two changes of one zone lie further apart than that. */
const STEP_MS = 6 * DAY_MS;

/** An IANA time zone: how far its clocks are from UTC, and when that changes. */
export class Zone {
  readonly #format: Intl.DateTimeFormat;

  constructor(name: string) {
    this.#format = new Intl.DateTimeFormat("en-US", {
      ...{ timeZone: name, calendar: "gregory", numberingSystem: "latn", hourCycle: "h23" },
      ...{ year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric" },
    });
  }

  /** What the clocks on the wall show, as if it were UTC, less the instant. */
  offsetMs(instantMs: number): number {
    const parts: Record<string, number> = {};
    const whole = Math.floor(instantMs / 1000) * 1000;
    for (const { type, value } of this.#format.formatToParts(whole)) parts[type] = Number(value);
    const { year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0 } = parts;
    return Date.UTC(year, month - 1, day, hour, minute, second) - whole;
  }

  /** The first instant after `fromMs`, not after `toMs`, at which the offset differs from that of `fromMs`. */
  nextChange(fromMs: number, toMs: number): number | undefined {
    const before = this.offsetMs(fromMs);
    for (let low = fromMs; low < toMs; low = Math.min(low + STEP_MS, toMs)) {
      const high = Math.min(low + STEP_MS, toMs);
      if (this.offsetMs(high) !== before) return this.#between(low, high, before);
    }
    return undefined;
  }

  /** The instant at which the wall clock shows `localMs`: the first of two, or what follows a gap. */
  instant(localMs: number): number {
    const candidates = [this.offsetMs(localMs - DAY_MS), this.offsetMs(localMs + DAY_MS)].map((ms) => localMs - ms);
    const real = candidates.filter((ms) => ms + this.offsetMs(ms) === localMs);
    if (real.length > 0) return Math.min(...real);
    return this.nextChange(localMs - DAY_MS, localMs + DAY_MS) ?? Math.max(...candidates);
  }

  /** Offsets change at full minutes. */
  #between(lowMs: number, highMs: number, before: number): number {
    let low = Math.floor(lowMs / MINUTE_MS);
    let high = Math.ceil(highMs / MINUTE_MS);
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (this.offsetMs(middle * MINUTE_MS) === before) low = middle;
      else high = middle;
    }
    return high * MINUTE_MS;
  }
}
