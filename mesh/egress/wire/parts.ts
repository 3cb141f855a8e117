import { z } from "zod";
import type { Json } from "../../../lib/json.ts";
import { limits } from "../../../protocol/limits.ts";
import { isJson } from "./checks.ts";
import { refusal, refusalStatus, type Refusal } from "../../../protocol/refusal.ts";

/** JSON that only the provider interprets, and that adds no cost beyond its bytes. */
export const passed = z.custom<Json>(isJson, "not json");

export const outputTokens = z.int().min(1).max(limits.model.outputTokensMax);

/** Upper bound of the prompt's tokens: one per byte of the request, and what a provider adds for tools. */
export const boundedTokens = (bytes: number, tools: boolean): number =>
  bytes + (tools ? limits.model.toolPreambleTokensMax : 0);

/** Lower bound: a delta with text holds at least one token, and no vocabulary has tokens longer than this. */
const TOKEN_BYTES_MAX = 128;
export const tokensFromBytes = (bytes: number): number =>
  bytes === 0 ? 0 : Math.max(1, Math.ceil(bytes / TOKEN_BYTES_MAX));

export function malformed(problem: z.ZodError | string): Refusal {
  if (typeof problem === "string") return refusal("malformed", problem, "give one of them");
  const issue = problem.issues[0];
  const where = issue?.path.map(String).join(".") || "the body";
  if (issue?.code === "unrecognized_keys") {
    const keys = issue.keys.map((key) => `\`${key.slice(0, 64)}\``).join(", ");
    return refusal(
      "unsupported",
      `unknown parameter ${keys} in \`${where}\``,
      "remove it: its cost and effect are not known here",
    );
  }
  return refusal(
    "malformed",
    `\`${where}\`: ${issue?.message.toLowerCase() ?? "not understood"}`,
    "correct the request; text, images sent along and function tools are supported",
  );
}

/** An error as every route of the OpenAI format tells it. */
export const openaiRefusal = ({ code, reason, remedy }: Refusal): string =>
  JSON.stringify({ error: { message: `cordon: ${reason} (${remedy})`, type: "cordon_refusal", param: null, code } });

export const anthropicRefusal = ({ code, reason, remedy }: Refusal): string =>
  JSON.stringify({ type: "error", error: { type: code, message: `cordon: ${reason} (${remedy})` } });

/** The form of google.rpc.Status. */
export const geminiRefusal = ({ code, reason, remedy }: Refusal): string =>
  JSON.stringify({
    error: { code: refusalStatus[code], message: `cordon: ${reason} (${remedy})`, status: code.toUpperCase() },
  });
