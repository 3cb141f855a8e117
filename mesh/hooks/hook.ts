import { z } from "zod";
import { err, ok, type Result } from "../../lib/result.ts";
import { limits } from "../../protocol/limits.ts";
import { Name } from "../../protocol/names.ts";
import { Duration } from "../config/fields.ts";
import { BODY, readEffect, workflowFields, type Effect } from "../schedule/effect.ts";
import type { JsonSchema } from "../workflow/definition.ts";

/** One entry of `hooks:`. There is none without a signature. */
export interface Hook {
  readonly name: string;
  readonly scheme: "github" | "standard" | "stripe" | "hmac";
  /** A credential of the vault. */
  readonly secret: string;
  /** `hmac` only: the header that holds the signature, in lower case. */
  readonly header: string | null;
  /** How far the signed time may be from ours. */
  readonly windowMs: number;
  readonly deliveriesPerMinute: number;
  readonly schema: JsonSchema | null;
  readonly effect: Effect;
}

const { windowMsMin, windowMsMax, deliveriesPerMinuteMax } = limits.hook;

export const HookForm = z.strictObject({
  verify: z.enum(["github", "standard", "stripe", "hmac"]),
  secret: Name,
  header: z
    .string()
    .regex(/^[a-z][a-z0-9-]{0,63}$/, "must be the name of a header in lower case")
    .optional(),
  window: Duration.refine((ms) => ms >= windowMsMin && ms <= windowMsMax, "must be `1s` to `1h`").optional(),
  per_minute: z.int().min(1).max(deliveriesPerMinuteMax).optional(),
  schema: z.string().min(1).max(512).optional(),
  message: z.strictObject({ to: Name }).optional(),
  ...workflowFields,
});
export type HookForm = z.infer<typeof HookForm>;

export interface HookFault {
  readonly at: readonly string[];
  readonly message: string;
  readonly fix: string;
}

/** `schema` is the compiled form of the file that the entry names, `workflow` the path of its workflow file. */
export function readHook(
  name: string,
  form: HookForm,
  agents: ReadonlySet<string>,
  schema: JsonSchema | null,
  workflow: string | null = null,
): Result<Hook, HookFault> {
  const { verify: scheme, secret, header, window } = form;
  if ((scheme === "hmac") !== (header !== undefined)) {
    const fix = scheme === "hmac" ? "add for example `header: x-signature`" : "remove it: the scheme fixes its headers";
    return err({ at: ["header"], message: "`header` belongs to `verify: hmac`, and only there", fix });
  }
  if (window !== undefined && scheme !== "standard" && scheme !== "stripe") {
    const message = `\`${scheme}\` signs no time, so a window holds nothing`;
    return err({
      at: ["window"],
      message,
      fix: "remove it, or use `verify: standard`; deliveries are remembered for ever",
    });
  }
  const effect = readEffect(form, { agents, workflow, inputDefault: `\${{ ${BODY} }}` });
  if (!effect.ok) return effect;
  return ok({
    ...{ name, scheme, secret, schema },
    header: header ?? null,
    windowMs: window ?? limits.hook.windowMsDefault,
    deliveriesPerMinute: form.per_minute ?? limits.hook.deliveriesPerMinuteDefault,
    effect: effect.value,
  });
}
