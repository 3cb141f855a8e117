/** The JSON-RPC 2.0 messages of the Model Context Protocol that this server understands. */
import { z } from "zod";
import { err, ok, type Result } from "../../lib/result.ts";
import { limits } from "../../protocol/limits.ts";

export interface McpFault {
  readonly code: number;
  /** Lower case, no full stop. */
  readonly message: string;
  readonly remedy: string;
  readonly data?: unknown;
}

export type McpId = string | number;

export interface McpRequest {
  /** Absent: a notification, which is not answered. */
  readonly id?: McpId | undefined;
  readonly method: string;
  readonly params: Readonly<Record<string, unknown>>;
}

export const mcpCodes = {
  invalidRequest: -32_600,
  methodNotFound: -32_601,
  invalidParams: -32_602,
  headerMismatch: -32_020,
  unsupportedVersion: -32_022,
} as const;

export const withHandshake: readonly string[] = ["2025-11-25", "2025-06-18", "2025-03-26"];
export const stateless = "2026-07-28";

const { idCharsMax, methodCharsMax } = limits.mcp;
const Request = z.strictObject({
  jsonrpc: z.literal("2.0"),
  id: z.union([z.string().max(idCharsMax), z.int()]).optional(),
  method: z.string().min(1).max(methodCharsMax),
  params: z.record(z.string(), z.unknown()).optional(),
});

export function readMessage(body: unknown): Result<McpRequest, McpFault> {
  const fault = (message: string, remedy: string): Result<never, McpFault> =>
    err({ code: mcpCodes.invalidRequest, message, remedy });
  // Batches left the protocol with 2025-06-18.
  if (Array.isArray(body)) return fault("batches are not part of the protocol", "send one message a request");
  const parsed = Request.safeParse(body);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const where = issue?.path.map(String).join(".") || "the message";
    return fault(`${where}: ${issue?.message.toLowerCase() ?? "malformed"}`, "send a JSON-RPC 2.0 request");
  }
  const { id, method, params = {} } = parsed.data;
  return ok({ id, method, params });
}

export const mcpResult = (id: McpId, result: object): object => ({ jsonrpc: "2.0", id, result });

export const mcpError = (id: McpId | null, { code, message, remedy, data }: McpFault): object => ({
  jsonrpc: "2.0",
  id,
  error: { code, message: `${message}: ${remedy}`, ...(data === undefined ? {} : { data }) },
});
