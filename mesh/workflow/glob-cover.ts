import { globMatches } from "../../lib/glob.ts";

/**
 * Whether every key that `inner` matches is matched by `outer`. Errs towards no. A star of `inner` is read as a
 * character that only a star of `outer` matches: what it stands for, that star matches as well.
 */
export function globCovers(outer: string, inner: string): boolean {
  return coversFrom(outer.split("/"), inner.split("/"));
}

function coversFrom(outer: readonly string[], inner: readonly string[]): boolean {
  const [first, ...rest] = outer;
  if (first === undefined) return inner.length === 0;
  if (first === "**") {
    // A last `**` covers all; one in the middle is tried at every length.
    if (rest.length === 0) return true;
    return inner.some((_, from) => coversFrom(rest, inner.slice(from)));
  }
  const [segment, ...further] = inner;
  if (segment === undefined || segment === "**") return false;
  const covered = globMatches(first, segment);
  return covered && coversFrom(rest, further);
}

/** Whether two patterns can match one and the same key. Errs towards yes. */
export function globsMeet(a: string, b: string): boolean {
  return meetFrom(a.split("/"), b.split("/"));
}

function meetFrom(a: readonly string[], b: readonly string[]): boolean {
  const [first, ...restA] = a;
  const [second, ...restB] = b;
  if (first === "**" || second === "**") return true;
  if (first === undefined || second === undefined) return first === second;
  const alike =
    first.includes("*") && second.includes("*")
      ? true
      : first.includes("*")
        ? globMatches(first, second)
        : globMatches(second, first);
  return alike && meetFrom(restA, restB);
}
