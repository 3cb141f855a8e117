import type { Amount } from "./ledger.ts";
import { dearestRates, type Price } from "./price.ts";

/**
 * The longest answer, in tokens, that `left` can pay `n` times after the input, at the dearest rates; negative when it
 * cannot pay the input, Infinity when nothing bounds it. The inverse of `worstCase`, one micro-USD aside for its rounding.
 */
export function outputTokensPayable(price: Price, left: Amount, inputTokensMax: number, n: number): number {
  const byTokens = (left.tokens - inputTokensMax) / n;
  const { input, output } = dearestRates(price, inputTokensMax);
  const money = (left.microUsd - 1) * 1e6 - inputTokensMax * input;
  const byMoney = output === 0 ? (money < 0 ? -1 : Infinity) : money / (output * n);
  return Math.floor(Math.min(byTokens, byMoney));
}
