import type { z } from "zod";
import type { Json } from "../../lib/json.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import { refusal, type Refusal } from "../../protocol/refusal.ts";
import type { DeskServices } from "./services.ts";

/** A request of an authenticated principal. `name` is the variable part of the path. */
export interface DeskRequest {
  readonly name: string;
  readonly query: URLSearchParams;
  readonly body: Json;
  readonly signal: AbortSignal;
}

/** null answers 204. */
export type Answer = Result<object | null, Refusal>;
export type Handler = (services: DeskServices, request: DeskRequest) => Answer | Promise<Answer>;

/** The message names the field and never repeats the value, which may be a secret. */
export function parse<T>(schema: z.ZodType<T>, body: Json): Result<T, Refusal> {
  const parsed = schema.safeParse(body, { reportInput: false });
  if (parsed.success) return ok(parsed.data);
  const issue = parsed.error.issues[0];
  return err(
    refusal(
      "malformed",
      `\`${issue?.path.map(String).join(".") || "body"}\`: ${issue?.message.toLowerCase()}`,
      "correct the request",
    ),
  );
}
