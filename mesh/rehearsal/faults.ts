import { err, ok, type Result } from "../../lib/result.ts";
import { limits } from "../../protocol/limits.ts";
import type { Answer } from "./answer.ts";
import { numberIn } from "./scenario/filters.ts";
import type { WireErrorKind } from "./wire/format.ts";

/** What a provider can do to its clients, on demand: as model `fault:NAME`, or `fault NAME` in the words of the user. */
export type Fault =
  | { readonly type: "none" }
  | { readonly type: "status"; readonly kind: WireErrorKind }
  /** Sends nothing for `ms`, then goes on. */
  | { readonly type: "stall"; readonly where: "first" | "middle"; readonly ms: number }
  | { readonly type: "cut"; readonly where: "first" | "middle" }
  | { readonly type: "malformed" }
  | { readonly type: "usage"; readonly lie: "low" | "high" | "missing" }
  /** Ignores the bound on tokens. */
  | { readonly type: "overrun" }
  /** Answers with the headers of the request, the credential among them. */
  | { readonly type: "reflect" };

const NONE: Fault = { type: "none" };

const faults: Readonly<Record<string, Fault>> = {
  "status-400": { type: "status", kind: "malformed" },
  "status-401": { type: "status", kind: "unauthenticated" },
  "status-403": { type: "status", kind: "forbidden" },
  "status-404": { type: "status", kind: "not_found" },
  "status-413": { type: "status", kind: "too_large" },
  "status-429": { type: "status", kind: "rate_limited" },
  "status-500": { type: "status", kind: "server_error" },
  "status-529": { type: "status", kind: "overloaded" },
  "stall-first": { type: "stall", where: "first", ms: limits.rehearsal.stallMsMax },
  "stall-middle": { type: "stall", where: "middle", ms: limits.rehearsal.stallMsMax },
  "cut-first": { type: "cut", where: "first" },
  "cut-middle": { type: "cut", where: "middle" },
  malformed: { type: "malformed" },
  "usage-low": { type: "usage", lie: "low" },
  "usage-high": { type: "usage", lie: "high" },
  "usage-missing": { type: "usage", lie: "missing" },
  overrun: { type: "overrun" },
  "reflect-headers": { type: "reflect" },
};

export const faultNames: readonly string[] = Object.keys(faults);

/** The fault that a call asks for. Only the model `fault` has any; `stall-first 200` stalls for 200 ms. */
export function faultOf(model: string, userText: string): Result<Fault, string> {
  const [name, suffix] = model.split(":", 2);
  if (name !== "fault") return ok(NONE);
  const word = suffix ?? /\bfault ([a-z0-9-]{1,40})/i.exec(userText)?.[1]?.toLowerCase();
  if (word === undefined) return ok(NONE);
  const fault = Object.hasOwn(faults, word) ? faults[word] : undefined;
  if (!fault) return err(`there is no fault \`${word}\`; there are ${faultNames.join(", ")}`);
  if (fault.type !== "stall") return ok(fault);
  return ok({
    ...fault,
    ms: Math.min(
      numberIn(/\bstall-(?:first|middle) {1,3}(\d{1,9})\b/i, userText) ?? fault.ms,
      limits.rehearsal.stallMsMax,
    ),
  });
}

/** What the answer itself says wrongly. */
export function withLie(answer: Answer, fault: Fault): Answer {
  if (fault.type !== "usage") return answer;
  if (fault.lie === "missing") return { ...answer, usage: "missing" };
  const lied = (tokens: number): number => (fault.lie === "high" ? tokens * 10 : Math.min(tokens, 1));
  return { ...answer, inputTokens: lied(answer.inputTokens), outputTokens: lied(answer.outputTokens) };
}
