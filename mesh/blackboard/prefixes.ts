/** The text before the first star bounds what a pattern can match; `a/**` matches `a`, too. */
const literal = (glob: string): string => (/^[^*]*/.exec(glob)?.[0] ?? "").replace(/\/$/, "");

/**
 * Beginnings of the keys that can match `glob` and one of `within`, sorted, none of them the beginning of another: the
 * ranges to look through. They bound the search only; whether a key matches is asked for each.
 */
export function prefixesOf(glob: string, within: readonly string[]): string[] {
  const asked = literal(glob);
  const bounded = within.map(literal).flatMap((prefix) => {
    if (prefix.startsWith(asked)) return [prefix];
    return asked.startsWith(prefix) ? [asked] : [];
  });
  const apart: string[] = [];
  for (const prefix of bounded.sort()) {
    const last = apart.at(-1);
    if (last === undefined || !prefix.startsWith(last)) apart.push(prefix);
  }
  return apart;
}
