import { stopWords } from "./stop-words.ts";

/** What a reader looks up: names, dates and quantities, in the order of their first mention. */
export interface Facts {
  readonly names: readonly string[];
  readonly dates: readonly string[];
  readonly numbers: readonly string[];
}

const FACTS_MAX = 8;
const MONTH = "January|February|March|April|May|June|July|August|September|October|November|December".split("|");
/** `2026-11-22`, `22 November 2026`, `November 22, 2026`, `November 2026`, `2026`, `1790s`. */
const DATE =
  /\b(?:\d{4}-\d{2}-\d{2}|\d{1,2} (?:January|February|March|April|May|June|July|August|September|October|November|December)(?: \d{4})?|(?:January|February|March|April|May|June|July|August|September|October|November|December) \d{1,2}(?:, \d{4})?|(?:January|February|March|April|May|June|July|August|September|October|November|December) \d{4}|1[0-9]{3}s?|20[0-9]{2}s?)\b/g;
const NUMBER =
  /(?<![\p{L}\p{N}.,-])\d{1,3}(?:[,\u00a0]\d{3}){0,4}(?:\.\d{1,6})?\d{0,9}(?:\s?[%°]C?|[ -]\p{Ll}{2,20})?(?![\p{L}\d])/gu;
const NAME =
  /(?<![\p{L}\p{N}])\p{Lu}[\p{L}\p{M}'’-]{1,30}(?: (?:of |the |de |von )?\p{Lu}[\p{L}\p{M}'’-]{1,30}){0,3}/gu;
const WEEKDAY = "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday".split("|");
/** Written with a capital, and nobody's name. */
const NOT_NAMES: ReadonlySet<string> = new Set([...MONTH, ...WEEKDAY]);

/** `sentences` are plain text; a capital at the start of one proves no name. */
export function factsOf(sentences: readonly string[]): Facts {
  const dates = new Map<string, number>();
  const numbers = new Map<string, number>();
  const names = new Map<string, number>();
  for (const sentence of sentences) {
    for (const [date] of sentence.matchAll(DATE)) count(dates, date);
    for (const [number] of sentence.replace(DATE, " ").matchAll(NUMBER)) {
      const quantity = withoutStopWord(number.trim());
      if (!/^\d{1,2}$/.test(quantity)) count(numbers, quantity);
    }
    for (const match of sentence.matchAll(NAME)) {
      const name = match.index === 0 ? afterOpening(match[0]) : match[0];
      if (name !== "" && !isNoName(name) && !isShouted(name)) count(names, name.replace(/['’]s?$/u, ""));
    }
  }
  return { names: mostOften(names), dates: mostOften(dates), numbers: mostOften(numbers) };
}

/** The first word of a sentence is written large in any case: only what follows it counts, if there is more than one. */
function afterOpening(name: string): string {
  const [first = "", ...rest] = name.split(" ");
  if (rest.length === 0) return "";
  return isNoName(first) ? rest.join(" ").replace(/^(?:of|the|de|von) /u, "") : name;
}

/** `60 to` is no quantity; `20 minutes` is, and a bare number with three digits may be one. */
function withoutStopWord(number: string): string {
  const [digits = "", unit] = number.split(/[ -]/);
  return unit !== undefined && stopWords.has(unit) ? digits : number;
}

const isNoName = (word: string): boolean => NOT_NAMES.has(word) || stopWords.has(word.toLowerCase());

const isShouted = (name: string): boolean => name.includes(" ") && name === name.toUpperCase();

const count = (seen: Map<string, number>, key: string): void => void seen.set(key, (seen.get(key) ?? 0) + 1);

/** The most frequent, ties by first mention, then shown in the order of first mention. */
function mostOften(seen: ReadonlyMap<string, number>): string[] {
  const order = [...seen.keys()];
  const kept = new Set(
    [...seen]
      .sort(([, a], [, b]) => b - a)
      .slice(0, FACTS_MAX)
      .map(([key]) => key),
  );
  return order.filter((key) => kept.has(key));
}
