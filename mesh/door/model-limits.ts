import { err, ok, type Result } from "../../lib/result.ts";
import { limits } from "../../protocol/limits.ts";
import { refusal, type Refusal } from "../../protocol/refusal.ts";
import { isHeldWhole, type ModelCall } from "../egress/wire/format.ts";

/** Ceilings of one agent's calls (`model_limits` of the fleet file); what is absent is not bounded further. */
export interface ModelLimits {
  /** Per answer: a call that asks for more, or for nothing, gets this. */
  readonly maxTokens?: number;
  /** Answers to one call. */
  readonly n?: number;
  readonly temperature?: number;
  /** Tools declared in one call; 0 = none. */
  readonly tools?: number;
}

/** The call within the ceilings. A longer answer is shortened, as the budget does; anything else above them is refused. */
export function withinLimits(agent: string, ceilings: ModelLimits, call: ModelCall): Result<ModelCall, Refusal> {
  const asked = { n: call.choices, temperature: call.temperature ?? -Infinity, tools: call.tools };
  for (const name of ["n", "temperature", "tools"] as const) {
    const ceiling = ceilings[name];
    if (ceiling === undefined || asked[name] <= ceiling) continue;
    const reason = `\`${name}\` is ${asked[name]}, and \`${agent}\` may have at most ${ceiling}`;
    return err(refusal("denied", reason, `raise \`agents.${agent}.model_limits.${name}\``));
  }
  // What is drawn or heard is not shortened: who asks for more is refused when its tokens are known.
  if (isHeldWhole(call)) return ok({ ...call, outputTokens: ceilings.maxTokens ?? null });
  const wanted = call.outputTokens ?? limits.model.outputTokensDefault;
  return ok({ ...call, outputTokens: Math.min(wanted, ceilings.maxTokens ?? Infinity) });
}
