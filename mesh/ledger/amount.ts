import { assert } from "../../lib/assert.ts";
import { limits } from "../../protocol/limits.ts";
import type { Amount, Scope, Usage } from "./ledger.ts";

export const nothing: Amount = { tokens: 0, microUsd: 0 };

export const least = (a: Amount, b: Amount): Amount => ({
  tokens: Math.min(a.tokens, b.tokens),
  microUsd: Math.min(a.microUsd, b.microUsd),
});

const SCOPE = /^[a-z]+(:[a-z0-9-]+)?$/;

export function assertScopes(scopes: readonly Scope[]): void {
  assert(scopes.length > 0 && scopes.length <= limits.ledger.scopesMax, "a reservation has a few scopes");
  assert(new Set(scopes).size === scopes.length, "a reservation names a scope once");
  assert(
    scopes.every((scope) => scope.length <= limits.ledger.scopeCharsMax && SCOPE.test(scope)),
    "a scope is a name",
  );
}

export function assertAmount({ tokens, microUsd }: Amount): void {
  assert(Number.isSafeInteger(tokens) && tokens >= 0, "an amount of tokens is a natural number");
  assert(Number.isSafeInteger(microUsd) && microUsd >= 0, "an amount of micro-USD is a natural number");
}

export function assertUsage(usage: Usage): void {
  assertAmount(usage.cost);
  assertAmount({ tokens: usage.inputTokens, microUsd: 0 });
  assertAmount({ tokens: usage.outputTokens, microUsd: 0 });
}
