/**
 * Separator-aware globs over `/`-separated keys: `*` matches one whole segment or a part of one,
 * `**` (a segment of its own) any number of segments, also none. No other character is special.
 * Only the last double star is ever tried again, so time is O(pattern × key).
 */
export function globMatches(pattern: string, key: string): boolean {
  // Most pairs differ before the first star: that is found without looking at segments.
  let same = 0;
  while (same < pattern.length && pattern.charCodeAt(same) === key.charCodeAt(same) && key.charCodeAt(same) !== STAR)
    same++;
  const wanted = pattern.charCodeAt(same);
  if (wanted !== STAR && !(wanted === SLASH && same === key.length))
    return same === pattern.length && same === key.length;
  return segmentsMatch(pattern, key);
}

function segmentsMatch(pattern: string, key: string): boolean {
  // Offsets of the segments to compare; one past the length means that none is left.
  let p = 0;
  let k = 0;
  let afterStars = -1;
  let mark = 0;
  while (k <= key.length) {
    const keyEnd = segmentEnd(key, k);
    if (p <= pattern.length) {
      const patternEnd = segmentEnd(pattern, p);
      if (isDoubleStar(pattern, p, patternEnd)) {
        afterStars = p = patternEnd + 1;
        mark = k;
        continue;
      }
      if (segmentMatches(pattern, p, patternEnd, key, k, keyEnd)) {
        p = patternEnd + 1;
        k = keyEnd + 1;
        continue;
      }
    }
    if (afterStars < 0) return false;
    p = afterStars;
    k = mark = segmentEnd(key, mark) + 1;
  }
  while (p <= pattern.length) {
    const end = segmentEnd(pattern, p);
    if (!isDoubleStar(pattern, p, end)) return false;
    p = end + 1;
  }
  return true;
}

const STAR = 42;
const SLASH = 47;

function segmentEnd(text: string, from: number): number {
  const slash = text.indexOf("/", from);
  return slash < 0 ? text.length : slash;
}

const isDoubleStar = (pattern: string, from: number, to: number): boolean =>
  to - from === 2 && pattern.charCodeAt(from) === STAR && pattern.charCodeAt(from + 1) === STAR;

/**
 * One segment of the pattern, [p, pEnd), against one of the key, [k, kEnd). What stands between two stars is looked for as a
 * whole, and what stands after the last one only at the end: character by character a pattern could be made that costs much.
 */
function segmentMatches(pattern: string, p: number, pEnd: number, key: string, k: number, kEnd: number): boolean {
  let at = k;
  let next = p;
  for (; next < pEnd && pattern.charCodeAt(next) !== STAR; next++, at++)
    if (at >= kEnd || pattern.charCodeAt(next) !== key.charCodeAt(at)) return false;
  if (next === pEnd) return at === kEnd;
  for (;;) {
    while (next < pEnd && pattern.charCodeAt(next) === STAR) next++;
    const star = pattern.indexOf("*", next);
    const isLast = star < 0 || star >= pEnd;
    const piece = pattern.slice(next, isLast ? pEnd : star);
    if (isLast) return piece.length <= kEnd - at && key.startsWith(piece, kEnd - piece.length);
    const found = key.indexOf(piece, at);
    if (found < 0 || found + piece.length > kEnd) return false;
    at = found + piece.length;
    next = star;
  }
}
