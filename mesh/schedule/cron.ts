import { Cron } from "croner";
import { err, ok, type Result } from "../../lib/result.ts";
import { limits } from "../../protocol/limits.ts";
import type { Zone } from "./zone.ts";

const MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
const FIELDS = [
  { name: "minute", min: 0, max: 59, words: [] },
  { name: "hour", min: 0, max: 23, words: [] },
  { name: "day of the month", min: 1, max: 31, words: [] },
  { name: "month", min: 1, max: 12, words: MONTHS },
  { name: "day of the week", min: 0, max: 7, words: DAYS },
] as const satisfies readonly { name: string; min: number; max: number; words: readonly string[] }[];
type Field = (typeof FIELDS)[number];

const DAY_MS = 86_400_000;
const LOOK_BACK_MS = DAY_MS + 3_600_000;
/** A Monday long enough ago; a pattern that names no day within nine years of it names none (29 February 2096 to 2104). */
const REFERENCE_MS = Date.UTC(2095, 11, 26);

/**
 * A pattern of cron (IEEE Std 1003.1 crontab, with names and steps): five fields, minutes at the finest; a day of
 * the month and a day of the week are alternatives unless one is `*`. The calendar is
 * croner's; where the clocks change, what is here holds. With a fixed hour, a time that is skipped falls on the first
 * instant after the gap, and one that comes twice counts the first time only. With any hour (`*`), what matches the
 * clock fires.
 */
export class CronPattern {
  readonly firingsPerDayMax: number;
  readonly #cron: Cron;
  readonly #anyHour: boolean;

  private constructor(text: string, fields: readonly ReadonlySet<number>[]) {
    this.#cron = new Cron(text, { timezone: "UTC", paused: true });
    this.#anyHour = (text.split(" ")[1] ?? "").startsWith("*");
    this.firingsPerDayMax = (fields[0]?.size ?? 60) * (fields[1]?.size ?? 24);
  }

  static parse(text: string): Result<CronPattern, string> {
    if (text.length > limits.schedule.cronCharsMax)
      return err(`longer than ${limits.schedule.cronCharsMax} characters`);
    const words = text.toUpperCase().split(" ");
    if (words.length !== FIELDS.length)
      return err(`has ${words.length} fields: it takes minute, hour, day of the month, month, day of the week`);
    const fields: ReadonlySet<number>[] = [];
    for (const [at, field] of FIELDS.entries()) {
      const values = valuesOf(words[at] ?? "", field);
      if (!values.ok) return err(`${field.name} \`${(words[at] ?? "").toLowerCase()}\`: ${values.error}`);
      fields.push(values.value);
    }
    const pattern = new CronPattern(words.join(" "), fields);
    return pattern.#next(REFERENCE_MS) === undefined ? err("names a day that never comes") : ok(pattern);
  }

  /** The first tick after `afterMs` in that zone; undefined beyond the horizon. */
  next(afterMs: number, zone: Zone): number | undefined {
    const endMs = afterMs + limits.schedule.horizonMs;
    let from = afterMs;
    let base = this.#afterRepeated(from, zone);
    for (;;) {
      const offset = zone.offsetMs(from);
      const local = this.#next(base);
      const instant = local === undefined ? Infinity : local - offset;
      const change = zone.nextChange(from, Math.min(instant, endMs));
      if (change === undefined) return instant <= endMs ? instant : undefined;
      const changed = zone.offsetMs(change);
      if (changed > offset && !this.#anyHour && local !== undefined && local < change + changed) return change;
      const repeats = changed < offset && !this.#anyHour;
      base = change + (repeats ? offset : changed) - 1;
      from = change;
    }
  }

  /** The local time after which to look: an hour that comes a second time is over the first time, for a fixed hour. */
  #afterRepeated(fromMs: number, zone: Zone): number {
    const local = fromMs + zone.offsetMs(fromMs);
    if (this.#anyHour) return local;
    const change = zone.nextChange(fromMs - LOOK_BACK_MS, fromMs);
    return change === undefined ? local : Math.max(local, change + zone.offsetMs(change - 1) - 1);
  }

  #next(localMs: number): number | undefined {
    return this.#cron.nextRun(new Date(localMs))?.getTime();
  }
}

function valuesOf(text: string, field: Field): Result<ReadonlySet<number>, string> {
  const values = new Set<number>();
  for (const item of text.split(",")) {
    const match = /^(?:(\*)|([0-9A-Z]{1,3})(?:-([0-9A-Z]{1,3}))?)(?:\/(\d{1,3}))?$/.exec(item);
    if (!match) return err("expected for example `*`, `*/15`, `1-5` or `0,30`");
    const [, star, first, last, stepText] = match;
    const step = stepText === undefined ? 1 : Number(stepText);
    if (step === 0) return err("a step of 0 never ends: use 1 or more");
    if (stepText !== undefined && star === undefined && last === undefined) return err("a step needs a range or `*`");
    const from = star ? field.min : numberOf(first ?? "", field);
    const to = star ? field.max : last === undefined ? from : numberOf(last, field);
    if (from === undefined || to === undefined) return err(`expected ${field.min} to ${field.max}`);
    if (from > to) return err("a range goes from the lower to the higher value");
    if (step > field.max - field.min + 1) return err(`a step of ${step} is longer than the field`);
    for (let value = from; value <= to; value += step) values.add(value);
  }
  return ok(values);
}

function numberOf(text: string, field: Field): number | undefined {
  const word = (field.words as readonly string[]).indexOf(text);
  if (word >= 0) return word + (field.name === "month" ? 1 : 0);
  const value = /^\d{1,2}$/.test(text) ? Number(text) : NaN;
  return value >= field.min && value <= field.max ? value : undefined;
}
