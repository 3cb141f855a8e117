import { assert } from "../../lib/assert.ts";
import { limits } from "../../protocol/limits.ts";
import type { Amount, Scope, Unit, Usage } from "./ledger.ts";

export const nothing: Amount = { tokens: 0, microUsd: 0 };
export const units: readonly Unit[] = ["tokens", "usd", "requests", "bytes"];

/** Of each unit how much. */
export type Quantities = Record<Unit, number>;

export const zero = (): Quantities => ({ tokens: 0, usd: 0, requests: 0, bytes: 0 });
export const isZero = (amount: Readonly<Quantities>): boolean =>
  amount.tokens === 0 && amount.usd === 0 && amount.requests === 0 && amount.bytes === 0;

/** One of the two where it is the least of both. */
export function least(a: Amount, b: Amount): Amount {
  if (a.tokens <= b.tokens && a.microUsd <= b.microUsd) return a;
  return { tokens: Math.min(a.tokens, b.tokens), microUsd: Math.min(a.microUsd, b.microUsd) };
}

export const minus = (a: Amount, b: Amount): Amount =>
  a === b ? nothing : { tokens: a.tokens - b.tokens, microUsd: a.microUsd - b.microUsd };

const SCOPE = /^(?:fleet|(?:team|tenant|agent):[a-z0-9-]+|run:[a-z0-9_-]+|step:[a-z0-9_-]+\/[A-Za-z0-9_.-]+)$/;

/** A run or a step counts in one window that never resets; everything else in days, months and rolling windows. */
export const isRunScope = (scope: Scope): boolean => scope.startsWith("run:") || scope.startsWith("step:");

export const isScope = (scope: string): scope is Scope =>
  scope.length <= limits.ledger.scopeCharsMax && SCOPE.test(scope);

export function assertScopes(scopes: readonly Scope[]): void {
  assert(scopes.length > 0 && scopes.length <= limits.ledger.scopesMax, "a reservation has a few scopes");
  assert(new Set(scopes).size === scopes.length, "a reservation names a scope once");
  assert(scopes.every(isScope), "a scope is a name");
}

export function assertCount(count: number, what: string): void {
  const isCount = Number.isSafeInteger(count) && count >= 0;
  if (!isCount) assert(false, `an amount of ${what} is a natural number`);
}

export function assertAmount({ tokens, microUsd }: Amount): void {
  assertCount(tokens, "tokens");
  assertCount(microUsd, "micro-USD");
}

export function assertUsage(usage: Usage): void {
  assertAmount(usage.cost);
  assertCount(usage.inputTokens, "tokens");
  assertCount(usage.outputTokens, "tokens");
}
