/** A hold is on disk before anything is sent: what a crash takes away then is a call, never its charge. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { ok } from "../../../lib/result.ts";
import { reserve } from "../../../mesh/door/model-attempt.ts";
import { ModelAttempt, type Exchange } from "../../../mesh/door/model-exchange.ts";
import type { Way } from "../../../mesh/door/model-routing.ts";
import type { Provider } from "../../../mesh/egress/providers.ts";
import { openaiFormat } from "../../../mesh/egress/wire/openai.ts";
import { flatPrice } from "../../../mesh/ledger/price.ts";
import { Departure } from "../../../mesh/door/departure.ts";
import { doorInMemory } from "../../fleet/door-services.ts";

const provider: Provider = {
  ...{ name: "own", apis: ["openai"], baseUrl: "http://own.test/v1", credential: null, priceList: null },
};

test("an attempt goes out when its hold and its record are on disk, and not a moment before", async () => {
  const { services } = doorInMemory({}, {});
  const disk = Promise.withResolvers<void>();
  const asked: string[] = [];
  let sent = 0;
  const slow = {
    ...services,
    ledger: {
      left: () => ({ tokens: 1_000_000, microUsd: 1_000_000 }),
      reserve: (_scopes: unknown, worst: object) => ok({ id: "hold_1", worst, writes: [["the hold"]] }),
      release: () => ({ writes: [["the end"]] }),
    },
    gateway: {
      prepare: () => () => {
        sent++;
        return Promise.resolve({ kind: "passed_error", status: 400, billed: "nothing", scrubbed: 0 });
      },
    },
    audit: {
      record: (event: { readonly kind: string }, writes: readonly unknown[]) => {
        asked.push(`${event.kind} with ${JSON.stringify(writes)}`);
        return disk.promise;
      },
    },
  };
  const body = { model: "own/m", max_tokens: 5, messages: [{ role: "user", content: "hi" }] };
  const parsed = openaiFormat.parse(body, JSON.stringify(body).length);
  assert.ok(parsed.ok);
  const link = { call: parsed.value, provider, model: "m", price: flatPrice("test", 1, 1), format: openaiFormat };
  const way: Way = { link: { ...link, rule: "a rule" }, provider };
  const caller = { agent: "a", sandbox: "s" };
  const exchangeOf = (of: object): Exchange =>
    ({ services: of, caller, request: { headers: {} }, response: {}, gone: new Departure() }) as never;
  const turnOf = { held: false, named: false, firstByteMs: undefined, timeoutMs: undefined };
  const going = (of: object): Promise<void> => {
    const admitted = reserve(of as never, caller, way, {});
    assert.ok(admitted.ok);
    return new ModelAttempt(exchangeOf(of), admitted.value, turnOf).send();
  };
  const slowly = going(slow);
  for (let n = 0; n < 50; n++) await turn();
  assert.deepEqual(asked, ['model.reserved with [["the hold"]]'], "both in one transaction");
  assert.equal(sent, 0);
  disk.resolve();
  await slowly;
  assert.equal(sent, 1);
  assert.deepEqual(asked.slice(1), ['model.settled with [["the end"]]']);
  // A disk that fails lets nothing through either.
  await assert.rejects(
    going({ ...slow, audit: { record: () => Promise.reject(new Error("disk full")) } }),
    /disk full/,
  );
  assert.equal(sent, 1);
});
