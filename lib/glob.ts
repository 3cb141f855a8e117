/**
 * Separator-aware globs over `/`-separated keys: `*` matches one whole segment or a part of one,
 * `**` (a segment of its own) any number of segments, also none. No other character is special.
 * Time is O(pattern × key); there is no backtracking.
 */
export function globMatches(pattern: string, key: string): boolean {
  const want = pattern.split("/");
  const have = key.split("/");
  // reach[j]: the first j segments of the key are matched by the pattern read so far.
  let reach = new Array<boolean>(have.length + 1).fill(false);
  reach[0] = true;
  for (const segment of want) {
    const next = new Array<boolean>(have.length + 1).fill(false);
    if (segment === "**") {
      let seen = false;
      for (let j = 0; j <= have.length; j++) next[j] = seen ||= reach[j] === true;
    } else {
      for (let j = 0; j < have.length; j++) {
        if (reach[j] && segmentMatches(segment, have[j] ?? "")) next[j + 1] = true;
      }
    }
    reach = next;
  }
  return reach[have.length] === true;
}

/** Greedy match of one segment with `*`: remembers the last star only, so it is linear per star. */
function segmentMatches(pattern: string, text: string): boolean {
  let p = 0;
  let t = 0;
  let star = -1;
  let mark = 0;
  while (t < text.length) {
    if (p < pattern.length && pattern[p] === "*") {
      star = p++;
      mark = t;
    } else if (p < pattern.length && pattern[p] === text[t]) {
      p++;
      t++;
    } else if (star >= 0) {
      p = star + 1;
      t = ++mark;
    } else {
      return false;
    }
  }
  while (pattern[p] === "*") p++;
  return p === pattern.length;
}
