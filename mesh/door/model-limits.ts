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

/** Tokens of one answer within the ceilings. A longer one is shortened, as the budget does; anything else above them is refused. */
export function withinLimits(agent: string, ceilings: ModelLimits, call: ModelCall): Result<number | null, Refusal> {
  const { choices, temperature, tools } = call;
  if (choices > (ceilings.n ?? Infinity)) return tooMuch(agent, "n", choices, ceilings.n);
  if (temperature !== null && temperature > (ceilings.temperature ?? Infinity))
    return tooMuch(agent, "temperature", temperature, ceilings.temperature);
  if (tools > (ceilings.tools ?? Infinity)) return tooMuch(agent, "tools", tools, ceilings.tools);
  // What is drawn or heard is not shortened: who asks for more is refused when its tokens are known.
  if (isHeldWhole(call)) return ok(ceilings.maxTokens ?? null);
  const wanted = call.outputTokens ?? limits.model.outputTokensDefault;
  return ok(Math.min(wanted, ceilings.maxTokens ?? Infinity));
}

function tooMuch(agent: string, name: string, asked: number, ceiling: number | undefined): Result<never, Refusal> {
  const reason = `\`${name}\` is ${asked}, and \`${agent}\` may have at most ${ceiling}`;
  return err(refusal("denied", reason, `raise \`agents.${agent}.model_limits.${name}\``));
}
