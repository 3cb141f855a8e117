import type { CacheRule } from "../egress/response-cache.ts";
import type { CacheForm, FleetForm } from "./schema.ts";

/**
 * An agent's own rule keeps its answers to itself; without one, the first team of it that has a rule shares them, and
 * else its tenant. What is shared stays within one tenant, also in a team that has members of several.
 */
export function cacheOf(
  agent: string,
  own: CacheForm | undefined,
  { teams = {}, tenants = {} }: Pick<FleetForm, "teams" | "tenants">,
): CacheRule | undefined {
  if (own) return ruleOf(`agent:${agent}`, own);
  const team = Object.entries(teams).find(([, { members, cache }]) => cache && members.includes(agent));
  const tenant = Object.entries(tenants).find(([, { members }]) => members.includes(agent));
  const place = tenant ? `tenant:${tenant[0]}` : "";
  if (team?.[1].cache) return ruleOf(place === "" ? `team:${team[0]}` : `${place}/team:${team[0]}`, team[1].cache);
  return tenant?.[1].cache && ruleOf(place, tenant[1].cache);
}

const ruleOf = (scope: string, { ttl, nondeterministic = false }: CacheForm): CacheRule => ({
  ...{ scope, nondeterministic },
  ttlMs: ttl,
});
