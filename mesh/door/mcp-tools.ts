import type { Json } from "../../lib/json.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import { toolNames, type ToolName } from "../../protocol/door.ts";
import { mcpCodes, type McpFault } from "./mcp-message.ts";
import type { Caller, DoorServices } from "./services.ts";
import { toolCall } from "./tool-call.ts";

/** Models of most providers take no dot in the name of a tool, and clients pass names on as they are. */
const nameOf = (tool: ToolName): string => tool.replace(".", "_");
const tools = new Map(toolNames.map((tool) => [nameOf(tool), tool]));
const READING = /^(?:files|board)\.(?:list|read|history)$/;

/** What the matrix grants, as the agent's `self` tells it. */
export const listTools = (services: DoorServices, caller: Caller): readonly object[] =>
  (services.selves.get(caller.agent)?.tools ?? []).map(({ name, description, parameters }) => ({
    name: nameOf(name),
    title: name,
    description,
    inputSchema: parameters,
    annotations: { readOnlyHint: READING.test(name), openWorldHint: false },
  }));

/** The same way as `/v1/tools`; a refusal is a result that the model is shown, with its remedy. */
export async function callTool(
  services: DoorServices,
  caller: Caller,
  params: Readonly<Record<string, unknown>>,
  signal: AbortSignal,
): Promise<Result<object, McpFault>> {
  const { name, arguments: given = {} } = params;
  const tool = typeof name === "string" ? tools.get(name) : undefined;
  if (tool === undefined) {
    const message = `no tool \`${String(name).slice(0, 80)}\``;
    return err({ code: mcpCodes.invalidParams, message, remedy: "ask `tools/list` for what there is" });
  }
  const done = await toolCall(services, caller, tool, given as Json, signal);
  if (!done.ok) {
    const { code, reason, remedy } = done.error;
    return ok({ isError: true, content: [{ type: "text", text: `${code}: ${reason}; ${remedy}` }] });
  }
  const { result, label } = done.value;
  return ok({
    content: [{ type: "text", text: JSON.stringify(result) }],
    structuredContent: result,
    _meta: { "cordon/label": label },
  });
}
