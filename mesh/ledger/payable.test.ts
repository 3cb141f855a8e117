import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { outputTokensPayable } from "./payable.ts";
import { flatPrice, worstCase } from "./price.ts";

test("what can be paid fits, and hardly more does: neither is a cap passed nor is it left unused (property)", () => {
  fc.assert(
    fc.property(
      fc.nat(20_000_000),
      fc.integer({ min: 1, max: 80_000_000 }),
      fc.nat(100_000),
      fc.integer({ min: 1, max: 8 }),
      fc.oneof(fc.constant(Infinity), fc.nat(2_000_000)),
      fc.oneof(fc.constant(Infinity), fc.nat(50_000_000)),
      (inputRate, outputRate, input, n, tokens, microUsd) => {
        const price = flatPrice("test", inputRate, outputRate);
        const payable = outputTokensPayable(price, { tokens, microUsd }, input, n);
        if (payable === Infinity) return assert.ok(tokens === Infinity && microUsd === Infinity);
        const fits = (output: number): boolean => {
          const worst = worstCase(price, input, output, n);
          return worst.tokens <= tokens && worst.microUsd <= microUsd;
        };
        if (payable < 0) return assert.equal(fits(1), false, "it cannot even pay the input");
        assert.ok(fits(payable));
        // Money is held in whole micro-USD, so up to one of them stays over.
        const over = Math.ceil(2e6 / (outputRate * n)) + 1;
        assert.equal(fits(payable + over), false, `${payable} and ${over} more`);
      },
    ),
    { seed: 20_261_123, numRuns: 3_000 },
  );
});
