import { readReachLine } from "../config/reach.ts";
import { hostMatches, rulesAt, type ReachRule, type TunnelAction } from "../policy/reach.ts";
import type { Narrowing } from "./definition.ts";
import { globCovers } from "./glob-cover.ts";

/** A narrowing is never changed, so its lines are read once. */
const read = new WeakMap<readonly string[], readonly ReachRule[]>();

/** What the lines of a step's `may.reach` mean. One that cannot be read allows nothing. */
export function reachOfStep({ reach }: Pick<Narrowing, "reach">): readonly ReachRule[] {
  let rules = read.get(reach);
  if (!rules) {
    rules = reach.flatMap((line) => {
      const rule = readReachLine(line);
      return rule.ok ? [rule.value] : [];
    });
    read.set(reach, rules);
  }
  return rules;
}

/** Whether every request that `inner` allows is allowed by `outer`. Errs towards no. */
export function reachCovers(outer: ReachRule, inner: ReachRule): boolean {
  if (outer.scheme !== inner.scheme || outer.port !== inner.port) return false;
  // `*.a` covers itself and each name of one label before `.a`.
  if (outer.host !== inner.host && (inner.host.startsWith("*.") || !hostMatches(outer.host, inner.host))) return false;
  // Nobody sees what goes through a tunnel that is passed through, so nobody could hold it to methods and paths.
  if (outer.tls === "passthrough") return inner.methods === null && inner.paths === null;
  const { methods, paths } = outer;
  if (methods !== null && !(inner.methods?.every((method) => methods.includes(method)) ?? false)) return false;
  return paths === null || (inner.paths?.every((path) => paths.some((pattern) => globCovers(pattern, path))) ?? false);
}

/**
 * Whether a tunnel may be opened in a step. Where the agent's own rules pass it through unread, a line of the step about
 * methods or paths could not be held, and counts for nothing.
 */
export function tunnelInStep(own: readonly ReachRule[], inStep: readonly ReachRule[], to: TunnelAction): boolean {
  const there = rulesAt(inStep, to.host, to.port);
  const unread = !rulesAt(own, to.host, to.port).some(({ tls }) => tls === "intercept");
  return there.some(({ methods, paths }) => !unread || (methods === null && paths === null));
}
