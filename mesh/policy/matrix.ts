import type { Fleet } from "../config/fleet.ts";
import type { Matrix } from "./decide.ts";

/** The permission matrix of a fleet file. */
export function matrixOf(fleet: Fleet): Matrix {
  return new Map(
    fleet.agents.map(({ name, model, may: { models, ...may } }) => [
      name,
      { ...may, models: [`${model.provider}/${model.model}`], ...(models && { modelPatterns: models }) },
    ]),
  );
}
