import type { CacheRule } from "../egress/response-cache.ts";
import type { CacheForm, FleetForm } from "./schema.ts";

/** An agent's own rule keeps its answers to itself; without one, the first team of it that has a rule shares them. */
export function cacheOf(
  agent: string,
  own: CacheForm | undefined,
  teams: NonNullable<FleetForm["teams"]>,
): CacheRule | undefined {
  if (own) return ruleOf(`agent:${agent}`, own);
  const team = Object.entries(teams).find(([, { members, cache }]) => cache && members.includes(agent));
  return team?.[1].cache && ruleOf(`team:${team[0]}`, team[1].cache);
}

const ruleOf = (scope: string, { ttl, nondeterministic = false }: CacheForm): CacheRule => ({
  ...{ scope, nondeterministic },
  ttlMs: ttl,
});
