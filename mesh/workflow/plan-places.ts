import { readReachLine } from "../config/reach.ts";
import type { Fleet } from "../config/fleet.ts";
import type { Path } from "../config/source.ts";
import { decide, type Matrix } from "../policy/decide.ts";
import { hostMatches, originOf, type ReachRule } from "../policy/reach.ts";
import type { PlannedStep, Task } from "./definition.ts";
import { reachCovers } from "./narrow-reach.ts";
import type { Places } from "./places.ts";

interface PlaceFacts {
  readonly matrix: Matrix;
  /** Where credentials belong, and what databases there are. */
  readonly fleet: Pick<Fleet, "bindings" | "databases">;
}

type Outside = Pick<PlannedStep, "actions" | "destinations" | "credentials">;

/** What a step of an agent can touch outside: each line of its `reach` and each database, within the agent's own. */
export function placesOfStep({ may }: Task, agent: string, at: Path, facts: PlaceFacts, places: Places): Outside[] {
  return [
    ...may.reach.map((line, index) => ofLine(line, agent, [...at, "may", "reach", index], facts, places)),
    ...(may.databases ?? []).map((name, index) =>
      ofDatabase(name, agent, [...at, "may", "databases", index], facts, places),
    ),
  ];
}

const nowhere: Outside = { actions: [], destinations: [], credentials: [] };

function ofLine(line: string, agent: string, at: Path, { matrix, fleet }: PlaceFacts, places: Places): Outside {
  const read = readReachLine(line);
  if (!read.ok) {
    places.error("reach", at, read.error.message, read.error.fix);
    return nowhere;
  }
  const { reach = [], use = [] } = matrix.get(agent) ?? {};
  const cover = reach.find((rule) => reachCovers(rule, read.value));
  if (!cover) {
    places.error(
      "permission",
      at,
      `\`${agent}\` may not reach all of \`${line}\``,
      `add \`${line}\` to \`agents.${agent}.may.reach\` in the fleet file, or narrow the step`,
    );
    return nowhere;
  }
  const rule = `agents.${agent}.may.reach: ${cover.text}`;
  const bound = (fleet.bindings ?? []).filter(
    (binding) => use.includes(binding.credential) && meet(binding, read.value),
  );
  return {
    actions: [{ verb: "web.request", target: line, rule }],
    destinations: [originOf(read.value)],
    credentials: bound.map(({ credential }) => credential),
  };
}

/** Errs towards yes: methods and paths are not looked at. */
const meet = (a: Pick<ReachRule, "scheme" | "host" | "port">, b: ReachRule): boolean =>
  a.scheme === b.scheme &&
  a.port === b.port &&
  (a.host === b.host || hostMatches(a.host, b.host) || hostMatches(b.host, a.host));

function ofDatabase(name: string, agent: string, at: Path, { matrix, fleet }: PlaceFacts, places: Places): Outside {
  const decision = decide(matrix, agent, { verb: "database.connect", database: name });
  if (!decision.allow) {
    const { reason, remedy } = decision.refusal;
    places.error("permission", at, reason, `${remedy} in the fleet file, or narrow the step`);
    return nowhere;
  }
  const setting = fleet.databases?.find((each) => each.name === name);
  return {
    actions: [{ verb: "database.connect", target: name, rule: decision.rule }],
    destinations: setting ? [`${setting.host}:${setting.port}`] : [],
    credentials: setting ? [setting.credential] : [],
  };
}
