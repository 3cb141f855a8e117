import type { Caller, DoorServices } from "./services.ts";

/** The models that an agent may call, in the form of OpenAI's `GET /v1/models`. A pattern names no model, so it is left out. */
export function modelList({ matrix }: DoorServices, { agent }: Caller): object {
  const grants = matrix.get(agent);
  const data = [...(grants?.models ?? []), ...(grants?.modelPatterns ?? [])]
    .filter((id) => !id.includes("*"))
    .map((id) => ({ id, object: "model", created: 0, owned_by: id.slice(0, id.indexOf("/")) }));
  return { object: "list", data };
}
