/** One message of a guest and its answer. */
import type { Json } from "../../lib/json.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import { limits } from "../../protocol/limits.ts";
import {
  mcpCodes,
  mcpError,
  mcpResult,
  readMessage,
  stateless,
  withHandshake,
  type McpFault,
  type McpRequest,
} from "./mcp-message.ts";
import { callTool, listTools } from "./mcp-tools.ts";
import type { Caller, DoorServices } from "./services.ts";

export interface McpReply {
  readonly status: number;
  readonly body: object | null;
}
/** What is not understood is recorded by who sends the answer. */
export interface McpRefused {
  readonly status: number;
  readonly refused: McpFault;
}
type Headers = (name: string) => string | undefined;

const serverInfo = { name: "cordon", version: "1" } as const;
const instructions = "The tools of this agent. What they refuse, they say how to allow.";
const capabilities = { tools: {} } as const;
const versions = [stateless, ...withHandshake];
const VERSION = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES = "io.modelcontextprotocol/clientCapabilities";

export async function answerTo(
  services: DoorServices,
  caller: Caller,
  headers: Headers,
  body: Json,
  signal: AbortSignal,
): Promise<McpReply | McpRefused> {
  const message = readMessage(body);
  if (!message.ok) return { status: 400, refused: message.error };
  const { id, method, params } = message.value;
  const modern = revisionOf(message.value, headers);
  if (!modern.ok) return id === undefined ? { status: 400, refused: modern.error } : failed(400, id, modern.error);
  if (id === undefined) {
    if (method.startsWith("notifications/")) return { status: 202, body: null };
    const remedy = "give it an `id`, or send a notification";
    return { status: 400, refused: { code: mcpCodes.invalidRequest, message: `\`${method}\` is a request`, remedy } };
  }
  const result = await resultOf(services, caller, method, params, modern.value, signal);
  if (!result.ok) return failed(200, id, result.error);
  const more = modern.value
    ? { resultType: "complete", _meta: { "io.modelcontextprotocol/serverInfo": serverInfo } }
    : {};
  return { status: 200, body: mcpResult(id, { ...more, ...result.value }) };
}

const failed = (status: number, id: string | number, fault: McpFault): McpReply => ({
  status,
  body: mcpError(id, fault),
});

/** Whether a message is of the revision without a handshake; its headers must say what its body says. */
function revisionOf({ method, params }: McpRequest, headers: Headers): Result<boolean, McpFault> {
  const meta = (params["_meta"] ?? {}) as Readonly<Record<string, unknown>>;
  const claimed = typeof meta === "object" && meta !== null ? meta[VERSION] : undefined;
  const header = headers("mcp-protocol-version");
  if (claimed === undefined && header !== stateless) {
    if (header === undefined || method === "initialize" || withHandshake.includes(header)) return ok(false);
    return err(unsupported(header));
  }
  if (claimed !== stateless) return err(unsupported(typeof claimed === "string" ? claimed : "none"));
  if (typeof meta[CAPABILITIES] !== "object" || meta[CAPABILITIES] === null)
    return err({ code: mcpCodes.invalidParams, message: `\`_meta\` lacks \`${CAPABILITIES}\``, remedy: "add it" });
  const name = method === "tools/call" ? params["name"] : undefined;
  const wanted = {
    "mcp-protocol-version": stateless,
    "mcp-method": method,
    ...(name === undefined ? {} : { "mcp-name": name }),
  };
  const other = Object.entries(wanted).find(([key, value]) => headers(key) !== value);
  if (!other) return ok(true);
  const message = `the header \`${other[0]}\` does not say what the body says`;
  return err({ code: mcpCodes.headerMismatch, message, remedy: "send the same in both" });
}

const unsupported = (requested: string): McpFault => ({
  code: mcpCodes.unsupportedVersion,
  message: `revision \`${requested.slice(0, 40)}\` is not spoken here`,
  remedy: `use ${versions.join(", ")}`,
  data: { supported: versions, requested: requested.slice(0, 40) },
});

async function resultOf(
  services: DoorServices,
  caller: Caller,
  method: string,
  params: Readonly<Record<string, unknown>>,
  modern: boolean,
  signal: AbortSignal,
): Promise<Result<object, McpFault>> {
  const kept = modern ? { ttlMs: limits.mcp.listTtlMs, cacheScope: "private" } : {};
  switch (method) {
    case "tools/list":
      if (params["cursor"] !== undefined)
        return err({ code: mcpCodes.invalidParams, message: "there is one page only", remedy: "leave out `cursor`" });
      return ok({ ...kept, tools: listTools(services, caller) });
    case "tools/call":
      return callTool(services, caller, params, signal);
    case "server/discover":
      if (modern) return ok({ ...kept, supportedVersions: versions, capabilities, instructions });
      break;
    case "initialize":
      if (!modern) return initialize(params);
      break;
    case "ping":
      if (!modern) return ok({});
      break;
  }
  const message = `no method \`${method.slice(0, 80)}\``;
  return err({ code: mcpCodes.methodNotFound, message, remedy: "this server offers tools only" });
}

/** A revision that is not spoken here is answered with the newest one that is (lifecycle, version negotiation). */
function initialize(params: Readonly<Record<string, unknown>>): Result<object, McpFault> {
  const wanted = params["protocolVersion"];
  if (typeof wanted !== "string")
    return err({ code: mcpCodes.invalidParams, message: "`protocolVersion` is missing", remedy: "add it" });
  const protocolVersion = withHandshake.find((version) => version === wanted) ?? withHandshake[0];
  return ok({ protocolVersion, capabilities, serverInfo, instructions });
}
