import assert from "node:assert/strict";
import { test } from "node:test";
import { Balance } from "../egress/balance.ts";
import { Circuits } from "../egress/health.ts";
import type { Provider } from "../egress/providers.ts";
import type { BudgetRefusal } from "../ledger/ledger.ts";
import { flatPrice } from "../ledger/price.ts";
import { openaiFormat } from "../egress/wire/openai.ts";
import type { Link } from "./model-links.ts";
import { mayFit, waysOf, type Way } from "./model-routing.ts";

const provider = (name: string, credentials?: readonly string[]): Provider => ({
  ...{ name, apis: ["openai"], baseUrl: "http://x.test", credential: credentials?.[0] ?? null, priceList: null },
  ...(credentials && { credentials }),
});

function linkTo(from: Provider, rate = 1_000_000, content = "hi"): Link {
  const body = { model: `${from.name}/m`, messages: [{ role: "user", content }] };
  const parsed = openaiFormat.parse(body, JSON.stringify(body).length);
  assert.ok(parsed.ok);
  return {
    call: parsed.value,
    provider: from,
    model: "m",
    price: flatPrice("t", rate, rate),
    format: openaiFormat,
    rule: "r",
  };
}

function routing() {
  const clock = { nowMs: () => 0, monotonicMs: () => 0, sleep: () => Promise.reject(new Error("no")) };
  const circuits = new Circuits(
    clock,
    () => 0,
    () => {},
  );
  const shut = (name: string, credential: string | null): void =>
    circuits.begin({ provider: name, model: "m", credential })({ kind: "bad", reason: "x", retryAfterMs: 1_000 });
  return { routing: { chains: new Map(), circuits, balance: new Balance(10) }, shut };
}

const names = (ways: readonly Way[]): string[] =>
  ways.map(({ provider: { name, credential } }) => `${name}:${credential}`);

test("ways are tried link by link, credentials in turn, and those whose circuit is open last", () => {
  const { routing: way, shut } = routing();
  const links = [linkTo(provider("a", ["k", "l"])), linkTo(provider("b"))];
  assert.deepEqual(names(waysOf(links, way)), ["a:k", "a:l", "b:null"]);
  assert.deepEqual(names(waysOf(links, way)), ["a:l", "a:k", "b:null"]);
  shut("a", "k");
  assert.deepEqual(names(waysOf(links, way)), ["a:l", "b:null", "a:k"]);
  shut("a", "l");
  shut("b", null);
  assert.equal(waysOf(links, way).length, 3, "when all are open they stay, in their order");
  const [alone] = links.slice(1);
  assert.ok(alone);
  assert.deepEqual(names(waysOf([alone], way)), ["b:null"], "a call that has one way takes it");
  assert.deepEqual(names(waysOf(links, undefined)), ["a:k", "b:null"]);
});

test("after a refusal of the budget only what costs less of what has run out is tried", () => {
  const of = (name: string, rate: number, content?: string): Way => {
    const from = provider(name);
    return { link: linkTo(from, rate, content), provider: from };
  };
  const cause = (unit: BudgetRefusal["unit"], scope: BudgetRefusal["scope"] = "agent:a"): BudgetRefusal => ({
    ...{ scope, window: "day", unit, cap: 1, settled: 0, left: 0, wanted: 2, resetsAtMs: 0 },
  });
  const dear = of("dear", 9_000_000);
  const cheap = of("cheap", 1_000_000);
  const long = of("long", 1_000_000, "a much longer question");
  assert.equal(mayFit(cause("usd"), dear, cheap), true);
  assert.equal(mayFit(cause("usd"), cheap, dear), false);
  assert.equal(mayFit(cause("usd"), cheap, cheap), false);
  assert.equal(mayFit(cause("tokens"), dear, cheap), false, "it needs as many tokens");
  assert.equal(mayFit(cause("tokens"), long, cheap), true);
  assert.equal(mayFit(cause("requests"), dear, cheap), false);
  assert.equal(mayFit(cause("bytes", "agent:a>dear"), dear, cheap), true, "another destination");
  assert.equal(mayFit(cause("bytes", "agent:a>dear"), dear, dear), false);
});
