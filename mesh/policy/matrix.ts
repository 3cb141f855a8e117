import type { Fleet } from "../config/fleet.ts";
import type { Matrix } from "./decide.ts";

/** The permission matrix of a fleet file. */
export function matrixOf(fleet: Fleet): Matrix {
  return new Map(
    fleet.agents.map(({ name, model, chain, may: { models, ...may } }) => {
      // Who names a chain names each of its models.
      const own = (chain !== undefined && fleet.chains?.get(chain)?.links) || [model];
      return [
        name,
        {
          ...may,
          models: own.map((each) => `${each.provider}/${each.model}`),
          ...(models && { modelPatterns: models }),
        },
      ];
    }),
  );
}
