import { limits } from "../../protocol/limits.ts";
import type { Outcome } from "../egress/answer-relay.ts";
import type { Meter, ModelCall } from "../egress/wire/format.ts";
import type { Hold, Ledger } from "../ledger/ledger.ts";
import { costOf, type Price, type TokenUsage } from "../ledger/price.ts";
import type { Write } from "../store/store.ts";

interface Spent {
  readonly call: ModelCall;
  readonly hold: Hold;
  readonly price: Price;
  readonly meter: Meter;
  /** Undefined: nobody knows how it has ended. */
  readonly outcome: Outcome | undefined;
}

interface Settlement {
  readonly writes: readonly Write[];
  readonly tokens: number;
  readonly microUsd: number;
  readonly detail: { readonly [key: string]: number | string };
}

/** How a call ended, in the words of the record. */
export const kindOf = (outcome: Outcome | undefined): string => outcome?.kind ?? "fault";

export function reasonOf(outcome: Outcome | undefined): string {
  if (!outcome) return "fault of the mesh";
  if (outcome.kind === "failed") return outcome.refusal.reason.slice(0, 200);
  return outcome.kind === "passed_error" ? `status ${outcome.status}` : outcome.reason;
}

/**
 * What a call is charged. `nothing`: the hold is released. `unknown`: the hold is charged in full, as absent is
 * not zero. `seen`: what the provider reported, and where the answer was broken off never less than what passed.
 */
export function settle(ledger: Ledger, spent: Spent): Settlement {
  const { call, hold, price, outcome } = spent;
  const billed = outcome?.billed ?? "unknown";
  const kind = kindOf(outcome);
  const reason = reasonOf(outcome);
  if (billed === "nothing") {
    return {
      writes: ledger.release(hold).writes,
      tokens: 0,
      microUsd: 0,
      detail: { charged: "nothing", hold: hold.id, model: call.model, outcome: kind, price: price.source, reason },
    };
  }
  const seen = billed === "seen" ? usageSeen(spent) : undefined;
  // What no call can have used is no report: counted, it would overflow sums, and leave the hold without its end.
  const usage = seen && isPlausibleUsage(seen) ? seen : undefined;
  const cost = usage ? costOf(price, usage) : hold.worst;
  // Of a hold that is charged in full only the sum is known.
  const inputTokens = usage ? usage.inputTokens + usage.cacheReadTokens + usage.cacheWriteTokens : call.inputTokensMax;
  const outputTokens = usage ? usage.outputTokens : Math.max(0, hold.worst.tokens - inputTokens);
  const { writes, above } = ledger.settle(
    hold,
    usage
      ? {
          inputTokens,
          outputTokens,
          cost,
          cacheReadTokens: usage.cacheReadTokens,
          cacheWriteTokens: usage.cacheWriteTokens,
        }
      : { inputTokens, outputTokens, cost },
    // The provider's own figure may still be found.
    { estimate: !usage },
  );
  const tokens = cost.tokens - above.tokens;
  const microUsd = cost.microUsd - above.microUsd;
  // By name: as it is written.
  const detail = {
    above_micro_usd: above.microUsd,
    above_tokens: above.tokens,
    cache_read_tokens: usage?.cacheReadTokens ?? 0,
    cache_write_tokens: usage?.cacheWriteTokens ?? 0,
    charged: usage ? "usage" : "reservation",
    hold: hold.id,
    input_tokens: inputTokens,
    micro_usd: microUsd,
    model: call.model,
    outcome: kind,
    output_tokens: outputTokens,
    price: price.source,
    reason,
    tokens,
  };
  return { writes, tokens, microUsd, detail };
}

const isPlausibleUsage = (usage: TokenUsage): boolean =>
  isPlausible(usage.inputTokens) &&
  isPlausible(usage.cacheReadTokens) &&
  isPlausible(usage.cacheWriteTokens) &&
  isPlausible(usage.outputTokens);

const isPlausible = (tokens: number): boolean =>
  Number.isSafeInteger(tokens) && tokens >= 0 && tokens <= limits.model.reportedTokensMax;

function usageSeen({ meter, call }: Spent): TokenUsage {
  const reported = meter.usage;
  if (meter.complete && reported) {
    // A provider cannot have written less than what has passed.
    return withOutput(reported, Math.max(reported.outputTokens, meter.outputTokensSeen));
  }
  const outputTokens = Math.max(reported?.outputTokens ?? 0, meter.outputBytesSeen);
  const known = reported && reported.inputTokens + reported.cacheReadTokens + reported.cacheWriteTokens > 0;
  return known
    ? withOutput(reported, outputTokens)
    : { inputTokens: call.inputTokensMax, cacheReadTokens: 0, cacheWriteTokens: 0, outputTokens };
}

const withOutput = (usage: TokenUsage, outputTokens: number): TokenUsage => ({
  inputTokens: usage.inputTokens,
  cacheReadTokens: usage.cacheReadTokens,
  cacheWriteTokens: usage.cacheWriteTokens,
  outputTokens,
});
