/**
 * Finds regular expressions whose time can grow faster than the text they read: backreferences, repeats that can
 * divide one text among themselves in more than one way, and searches that start over inside what they just read.
 * Errs towards complaint. What it lets pass it has shown to be linear but for counted repeats.
 */
import { ALL, NEW_LINE, parseRegex, type Node } from "./regex-syntax.ts";

/** Repeats up to this often cost a constant factor. */
const BOUNDED_MAX = 64;
const isOpen = (node: Node): boolean => node.kind === "repeat" && node.max > BOUNDED_MAX;

/** All characters that a match of `node` can hold. */
function alphabet(node: Node): bigint {
  if (node.kind === "set") return node.set;
  if (node.kind === "repeat") return alphabet(node.body);
  const parts = node.kind === "sequence" ? node.items : node.kind === "choice" ? node.options : [];
  return parts.reduce((set, part) => set | alphabet(part), 0n);
}

const isNullable = (node: Node): boolean => {
  if (node.kind === "set") return false;
  if (node.kind === "repeat") return node.min === 0 || isNullable(node.body);
  if (node.kind === "sequence") return node.items.every(isNullable);
  return node.kind === "choice" ? node.options.some(isNullable) : true;
};

/** Characters with which a match can begin. */
function firsts(node: Node): bigint {
  if (node.kind === "set") return node.set;
  if (node.kind === "repeat") return firsts(node.body);
  if (node.kind === "choice") return node.options.reduce((set, option) => set | firsts(option), 0n);
  let set = 0n;
  for (const item of node.kind === "sequence" ? node.items : []) {
    set |= firsts(item);
    if (!isNullable(item)) break;
  }
  return set;
}

const children = (node: Node): readonly Node[] => {
  if (node.kind === "sequence") return node.items;
  if (node.kind === "choice") return node.options;
  if (node.kind === "repeat") return [node.body];
  return node.kind === "edge" && node.body ? [node.body] : [];
};
const contains = (node: Node, wanted: (node: Node) => boolean): boolean =>
  wanted(node) || children(node).some((child) => contains(child, wanted));

/** A repeat of a body with repeats inside is safe when one character, found nowhere else in it, begins or ends each turn. */
function isSeparated(body: Node): boolean {
  const items = body.kind === "sequence" ? body.items : [body];
  const isSeparator = (at: number): boolean => {
    const item = items.at(at);
    const others = items.filter((other) => other !== item).reduce((set, other) => set | alphabet(other), 0n);
    return item?.kind === "set" && (item.set & others) === 0n;
  };
  return items.length > 1 && (isSeparator(0) || isSeparator(-1));
}

function overlappingOptions(node: Node): boolean {
  if (node.kind !== "choice") return false;
  let seen = 0n;
  return node.options.some((option) => {
    const first = firsts(option);
    const overlaps = isNullable(option) || (seen & first) !== 0n;
    seen |= first;
    return overlaps;
  });
}

/** Two open repeats in a row that can both take the same character, with nothing sure between them. */
function adjacentRepeats(items: readonly Node[]): boolean {
  return items.some((item, at) => {
    if (!isOpen(item)) return false;
    const own = alphabet(item);
    for (const next of items.slice(at + 1)) {
      const joined = (own & firsts(next)) !== 0n;
      if (joined && contains(next, isOpen)) return true;
      if (!joined && !isNullable(next)) return false;
    }
    return false;
  });
}

/** An unanchored search that can fail late and start over inside the text that it has read. */
function restarts(items: readonly Node[]): boolean {
  const at = items.findIndex((item) => contains(item, isOpen));
  const open = items[at];
  if (!open || items.slice(at + 1).every((item) => item.kind !== "edge" && isNullable(item))) return false;
  const own = alphabet(open);
  // `[^]*$` takes all that is left, so it cannot fail.
  if (own === ALL && items.slice(at + 1).every((item) => item.kind === "edge" && !item.body)) return false;
  const start = items[0]?.kind === "edge" ? items[0].anchor : "none";
  if (start === "text" || (start === "line" && (own & NEW_LINE) === 0n)) return false;
  return items.slice(0, at).every((item) => isNullable(item) || (alphabet(item) & own) !== 0n);
}

/** Why the expression may be slow; empty when it is not. */
export function regexFaults(pattern: string, flags: string): readonly string[] {
  const root = parseRegex(pattern, flags);
  const faults = new Set<string>();
  const visit = (node: Node): void => {
    if (node.kind === "backreference") faults.add("a backreference");
    if (node.kind === "repeat" && isOpen(node)) {
      if (contains(node.body, isOpen) && !isSeparated(node.body)) faults.add("a repeat inside a repeat");
      if (contains(node.body, overlappingOptions)) faults.add("a repeat of options that begin alike");
    }
    if (node.kind === "sequence" && adjacentRepeats(node.items))
      faults.add("repeats in a row that take the same characters");
    for (const child of children(node)) visit(child);
  };
  visit(root);
  const starts = root.kind === "choice" ? root.options : [root];
  const searches = !flags.includes("y") && starts.some((start) => start.kind === "sequence" && restarts(start.items));
  if (searches)
    faults.add("a search that starts over inside what it has read: anchor it or begin with another character");
  return [...faults];
}
