import type { Outcome } from "../egress/answer-relay.ts";
import type { Meter, ModelCall, TokenUsage } from "../egress/wire/format.ts";
import type { Hold } from "../ledger/ledger.ts";
import type { Price } from "../ledger/prices.ts";
import type { Write } from "../store/store.ts";
import type { DoorServices } from "./services.ts";

interface Spent {
  readonly call: ModelCall;
  readonly hold: Hold;
  readonly price: Price;
  readonly meter: Meter;
  readonly billed: Outcome["billed"];
}

interface Settlement {
  readonly writes: readonly Write[];
  readonly tokens: number;
  readonly microUsd: number;
  readonly detail: { readonly [key: string]: number | string };
}

/**
 * What a call is charged. `nothing`: the hold is released. `unknown`: the hold is charged in full, as absent is
 * not zero. `seen`: what the provider reported, and where the answer was broken off never less than what passed.
 */
export function settle(services: DoorServices, spent: Spent): Settlement {
  const { hold, price, billed } = spent;
  if (billed === "nothing") {
    return { writes: services.ledger.release(hold.id).writes, tokens: 0, microUsd: 0, detail: { charged: "nothing" } };
  }
  const usage = billed === "seen" ? usageSeen(spent) : undefined;
  const cost = usage ? services.prices.costOf(price, usage) : hold.worst;
  const { inputTokens, outputTokens } = usage ?? { inputTokens: spent.call.inputTokensMax, outputTokens: Math.max(0, hold.worst.tokens - spent.call.inputTokensMax) };
  const { writes, above } = services.ledger.settle(hold.id, { inputTokens, outputTokens, cost });
  const tokens = cost.tokens - above.tokens;
  const microUsd = cost.microUsd - above.microUsd;
  const detail = { charged: usage ? "usage" : "reservation", input_tokens: inputTokens, output_tokens: outputTokens, tokens, micro_usd: microUsd, above_tokens: above.tokens, above_micro_usd: above.microUsd };
  return { writes, tokens, microUsd, detail };
}

function usageSeen({ meter, call }: Spent): TokenUsage {
  const reported = meter.usage;
  if (meter.complete && reported) {
    // A provider cannot have written less than what has passed.
    return { inputTokens: reported.inputTokens, outputTokens: Math.max(reported.outputTokens, meter.outputTokensSeen) };
  }
  return { inputTokens: reported?.inputTokens || call.inputTokensMax, outputTokens: Math.max(reported?.outputTokens ?? 0, meter.outputBytesSeen) };
}
