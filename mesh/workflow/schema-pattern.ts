import { limits } from "../../protocol/limits.ts";

/**
 * Patterns that take linear time in every engine: `^`, then single characters or classes, each with a repeat if need be,
 * then `$`. Where the length of a repeat is open, what follows must begin with a character that it cannot hold: there is
 * then only one way to match. No groups, alternatives, look-around and back-references. Undefined = fine.
 */
export function patternFault(pattern: string): string | undefined {
  if (pattern.length > limits.workflow.patternCharsMax)
    return `is longer than ${limits.workflow.patternCharsMax} characters`;
  if (!pattern.startsWith("^") || !pattern.endsWith("$")) return "must begin with `^` and end with `$`";
  const items: Item[] = [];
  for (let at = 1; at < pattern.length - 1;) {
    const item = readItem(pattern, at, pattern.length - 1);
    if (typeof item === "string") return item;
    items.push(item);
    at = item.end;
  }
  const unclear = items.findIndex((item, index) => item.open && !isClear(item, items.slice(index + 1)));
  return unclear < 0
    ? undefined
    : "can match in more than one way: after a repeat, what follows must differ from what is repeated";
}

interface Item {
  /** Codes below 128 that it matches; 128 stands for all others. */
  readonly set: ReadonlySet<number>;
  /** The number of repeats is not fixed. */
  readonly open: boolean;
  readonly optional: boolean;
  readonly end: number;
}

/** Up to the first item that must be there, none shares a character with the repeat. */
function isClear(item: Item, following: readonly Item[]): boolean {
  for (const next of following) {
    if ([...next.set].some((code) => item.set.has(code))) return false;
    if (!next.optional) return true;
  }
  return true;
}

function readItem(pattern: string, at: number, end: number): Item | string {
  const atom = pattern[at] === "[" ? readClass(pattern, at, end) : readAtom(pattern, at);
  if (typeof atom === "string") return atom;
  if (atom.end > end) return "escapes its own end";
  // regex-cost: at most two hundred characters come here
  const repeat = /^(?:[?*+]|\{(\d{1,4})(,(\d{0,4}))?\})/.exec(pattern.slice(atom.end, end));
  if (!repeat) return { ...atom, open: false, optional: false };
  const [text, min, comma, max] = repeat;
  const fixed = min !== undefined && (comma === undefined || max === min);
  const optional = text === "?" || text === "*" || Number(min ?? 1) === 0;
  return { set: atom.set, open: !fixed, optional, end: atom.end + text.length };
}

type Atom = Pick<Item, "set" | "end">;

function readAtom(pattern: string, at: number): Atom | string {
  const char = pattern[at] ?? "";
  if (char === "\\") return readEscape(pattern, at);
  if (char === ".") return { set: ALL, end: at + 1 };
  if ("()|^$*+?{}[]".includes(char)) return `has \`${char}\` where only characters and classes can stand`;
  return single(char, at + 1);
}

function readEscape(pattern: string, at: number): Atom | string {
  const char = pattern[at + 1] ?? "";
  if (char === "d") return { set: range("0", "9"), end: at + 2 };
  if (char === "w") return { set: WORD, end: at + 2 };
  if (/^[a-zA-Z0-9]?$/.test(char)) return `has the escape \`\\${char}\`, which is not in the subset`;
  return single(char, at + 2);
}

function readClass(pattern: string, at: number, end: number): Atom | string {
  const negated = pattern[at + 1] === "^";
  const set = new Set<number>();
  let i = at + (negated ? 2 : 1);
  while (i < end && pattern[i] !== "]") {
    if (pattern[i] === "[") return "has `[` inside a class";
    const first = pattern[i] === "\\" ? readEscape(pattern, i) : single(pattern[i] ?? "", i + 1);
    if (typeof first === "string") return first;
    i = first.end;
    const isRange = pattern[i] === "-" && pattern[i + 1] !== "]" && i + 1 < end;
    const last = isRange ? single(pattern[i + 1] ?? "", i + 2) : undefined;
    if (last && (first.set.size !== 1 || pattern[i + 1] === "\\"))
      return "has a range that is not between two characters";
    const codes = last ? span([...first.set][0] ?? 0, [...last.set][0] ?? 0) : first.set;
    if (codes.size === 0) return "has a range that is the wrong way round";
    for (const code of codes) set.add(code);
    if (last) i = last.end;
  }
  if (i >= end) return "has a class that is not closed";
  return { set: negated ? complement(set) : set, end: i + 1 };
}

const OTHERS = 128;
const single = (char: string, end: number): Atom => ({ set: new Set([Math.min(char.charCodeAt(0), OTHERS)]), end });
const span = (from: number, to: number): Set<number> =>
  new Set(Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => from + i));
const range = (from: string, to: string): Set<number> => span(from.charCodeAt(0), to.charCodeAt(0));
const ALL = span(0, OTHERS);
const WORD = new Set([...range("a", "z"), ...range("A", "Z"), ...range("0", "9"), "_".charCodeAt(0)]);
/** The rest; all characters beyond ASCII stay in it, as a class can name only some of them. */
const complement = (set: ReadonlySet<number>): Set<number> =>
  new Set([...ALL].filter((code) => code === OTHERS || !set.has(code)));
