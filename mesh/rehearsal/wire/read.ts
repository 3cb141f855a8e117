import { z } from "zod";
import { err, ok, type Result } from "../../../lib/result.ts";
import { limits } from "../../../protocol/limits.ts";
import { pairingFault, type Entry, type ModelRequest } from "../conversation.ts";
import { tokensOf } from "../tokens.ts";

/** Parts of requests that both formats share. Unknown names are let pass, as the providers' own servers do. */

export const ModelId = z.string().min(1).max(200);
export const PositiveTokens = z.int().min(1).max(10_000_000);
export const ToolName = z.string().regex(/^[A-Za-z0-9_-]{1,128}$/);
export const JsonSchema = z.record(z.string(), z.unknown());

/** `path: message` of the first fault, as a provider would say it. */
export function readForm<T>(form: z.ZodType<T>, body: unknown): Result<T, string> {
  const parsed = form.safeParse(body);
  if (parsed.success) return ok(parsed.data);
  const [issue] = parsed.error.issues;
  return err(`${issue?.path.join(".") || "body"}: ${issue?.message ?? "invalid"}`);
}

/** `rehearsal/echo` and `echo` are the same model. */
export const modelName = (id: string): string => (id.startsWith("rehearsal/") ? id.slice("rehearsal/".length) : id);

/** Adds the count of the input, and refuses what does not pair up. */
export function finishRequest(
  request: Omit<ModelRequest, "inputTokens">,
  toolsJsonBytes: number,
  bodyBytes: number,
): Result<ModelRequest, string> {
  const { entries, system } = request.conversation;
  if (entries.length > limits.model.messagesMax * 2) return err(`messages: more than ${limits.model.messagesMax}`);
  const fault = pairingFault(entries);
  if (fault !== undefined) return err(`messages: ${fault}`);
  const bytes = Buffer.byteLength(system) + toolsJsonBytes + entries.reduce((sum, entry) => sum + entryBytes(entry), 0);
  // Never more tokens than bytes: a budget that held one token a byte is never passed.
  return ok({ ...request, inputTokens: Math.min(tokensOf(bytes), bodyBytes) });
}

function entryBytes(entry: Entry): number {
  const calls = entry.role === "assistant" ? entry.calls : [];
  return (
    Buffer.byteLength(entry.text) + calls.reduce((sum, call) => sum + Buffer.byteLength(call.name + call.arguments), 0)
  );
}
