import type { Self } from "../../protocol/door.ts";
import { limits } from "../../protocol/limits.ts";
import type { Fleet } from "../config/fleet.ts";
import type { Provider } from "../egress/providers.ts";
import type { Matrix } from "../policy/decide.ts";
import { toolCards } from "../tools/cards.ts";
import { assert } from "../../lib/assert.ts";

/** What each agent is told about itself, worked out once. */
export function selvesOf(
  fleet: Fleet,
  matrix: Matrix,
  providers: ReadonlyMap<string, Provider>,
): ReadonlyMap<string, Self> {
  return new Map(
    fleet.agents.map(({ name, instructions, model, chain }) => {
      const grants = matrix.get(name);
      assert(grants, "every agent of the fleet is in the matrix");
      const self: Self = {
        agent: name,
        fleet: fleet.name,
        instructions: instructions.slice(0, limits.fleet.instructionsBytesMax),
        model: {
          id: chain ?? `${model.provider}/${model.model}`,
          api: providers.get(model.provider)?.apis[0] === "anthropic" ? "anthropic" : "openai",
        },
        tools: toolCards(grants),
        peers: grants.message,
      };
      return [name, self];
    }),
  );
}
