import { decide } from "../policy/decide.ts";
import type { Caller, DoorServices } from "./services.ts";

/**
 * The models that an agent may call, in the form of OpenAI's `GET /v1/models`, and the chains in which it may call any.
 * A pattern names no model, so it is left out.
 */
export function modelList({ matrix, routing }: DoorServices, { agent }: Caller): object {
  const grants = matrix.get(agent);
  const data = [...(grants?.models ?? []), ...(grants?.modelPatterns ?? [])]
    .filter((id) => !id.includes("*"))
    .map((id) => ({ id, object: "model", created: 0, owned_by: id.slice(0, id.indexOf("/")) }));
  const chains = [...(routing?.chains.values() ?? [])]
    .filter(({ links }) =>
      links.some(
        ({ provider, model }) => decide(matrix, agent, { verb: "model.call", model: `${provider}/${model}` }).allow,
      ),
    )
    .map(({ name }) => ({ id: name, object: "model", created: 0, owned_by: "cordon" }));
  return { object: "list", data: [...data, ...chains] };
}
