import { globMatches } from "../../lib/glob.ts";

/** Keys whose first segment a pattern names, or all of them. */
const ANY = "*";
const nobody: ReadonlySet<string> = new Set();
const groupOf = (match: string): string => {
  const [first = ""] = match.split("/", 1);
  return first.includes("*") ? ANY : first;
};

/** Who watches what, by the beginning of what is watched: a change looks at few patterns, and at each of them once. */
export class Watchers {
  readonly #groups = new Map<string, Map<string, Set<string>>>();

  add(watcher: string, match: string): void {
    const group = this.#groups.get(groupOf(match)) ?? new Map<string, Set<string>>();
    const watchers = group.get(match) ?? new Set();
    group.set(match, watchers.add(watcher));
    this.#groups.set(groupOf(match), group);
  }

  remove(watcher: string): void {
    for (const [name, group] of this.#groups) {
      for (const [match, watchers] of group) if (watchers.delete(watcher) && watchers.size === 0) group.delete(match);
      if (group.size === 0) this.#groups.delete(name);
    }
  }

  /** Each once, however many of its patterns match. */
  of(key: string): ReadonlySet<string> {
    if (this.#groups.size === 0) return nobody;
    const found = new Set<string>();
    for (const name of [groupOf(key), ANY])
      for (const [match, watchers] of this.#groups.get(name) ?? [])
        if (globMatches(match, key)) for (const watcher of watchers) found.add(watcher);
    return found;
  }
}
