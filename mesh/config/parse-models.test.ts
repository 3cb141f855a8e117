import assert from "node:assert/strict";
import { test } from "node:test";
import { decide } from "../policy/decide.ts";
import { matrixOf } from "../policy/matrix.ts";
import { parseFleet } from "./parse.ts";

const HEAD = "version: 1\nfleet: f\n";
const AGENT = "command: [/bin/a], model: rehearsal/echo";
const fleetOf = (text: string) => {
  const parsed = parseFleet(HEAD + text, "/nowhere");
  assert.ok(parsed.ok, JSON.stringify(parsed));
  return parsed.value;
};
const faultsOf = (text: string): string => {
  const parsed = parseFleet(HEAD + text, "/nowhere");
  return parsed.ok ? "" : parsed.error.map(({ message, fix }) => `${message}: ${fix}`).join("\n");
};

test("ceilings and further models of an agent", () => {
  const fleet = fleetOf(
    `agents:\n  a: { ${AGENT}, model_limits: { max_tokens: 4k, n: 2, temperature: 1, tools: 0 }, may: { models: ["openai/gpt-5*", anthropic/claude-x] } }\n  b: { ${AGENT} }\n`,
  );
  assert.deepEqual(fleet.agents[0]?.modelLimits, { maxTokens: 4_000, n: 2, temperature: 1, tools: 0 });
  assert.equal(fleet.agents[1]?.modelLimits, undefined);
  const matrix = matrixOf(fleet);
  const ruleOf = (agent: string, model: string): string | undefined => {
    const decision = decide(matrix, agent, { verb: "model.call", model });
    return decision.allow ? decision.rule : undefined;
  };
  assert.equal(ruleOf("a", "rehearsal/echo"), "agents.a.model");
  assert.equal(ruleOf("a", "openai/gpt-5-mini"), "agents.a.may.models: openai/gpt-5*");
  assert.equal(ruleOf("a", "anthropic/claude-x"), "agents.a.may.models: anthropic/claude-x");
  for (const model of [
    "openai/gpt-4o",
    "openai/gpt-5/x",
    "xopenai/gpt-5",
    "anthropic/claude-x2",
    "groq/openai/gpt-5",
    "openai/*",
  ])
    assert.equal(ruleOf("a", model), undefined, model);
  assert.equal(ruleOf("b", "openai/gpt-5-mini"), undefined);
});

test("clouds are a provider with a way of their own", () => {
  const { providers } = fleetOf(
    `providers:
  mine: { api: openai, base_url: "https://mine.openai.azure.com", azure: { api_version: 2024-10-21 }, credential: mine, price: { input: 1, output: 2 } }
  rock: { api: anthropic, base_url: "https://b.test", bedrock: { region: eu-central-1 }, credential: aws, price: { input: 1, output: 2 } }
  gem: { api: gemini, base_url: "https://g.test/v1beta", price: { input: 1, output: 2 } }
agents: { a: { ${AGENT} } }\n`,
  );
  assert.deepEqual(
    providers.map(({ api, hosting }) => [api, hosting]),
    [
      ["openai", { kind: "azure", apiVersion: "2024-10-21" }],
      ["anthropic", { kind: "bedrock", region: "eu-central-1" }],
      ["gemini", undefined],
    ],
  );
});

test("what cannot be meant is a fault", () => {
  const provider = (fields: string): string =>
    faultsOf(
      `providers: { x: { base_url: "https://x.test", price: { input: 1, output: 2 }, ${fields} } }\nagents: { a: { ${AGENT} } }\n`,
    );
  assert.match(provider("api: anthropic, azure: { api_version: 2024-10-21 }"), /azure does not serve `anthropic`/);
  assert.match(provider("api: openai, bedrock: { region: eu-central-1 }"), /bedrock does not serve `openai`/);
  assert.match(provider("api: openai, azure: { api_version: 2024-10-21&x=1 }"), /2024-10-21/);
  assert.match(provider("api: anthropic, bedrock: { region: eu.evil.test }"), /eu-central-1/);
  for (const [fields, fault] of [
    ["may: { models: [opnai/gpt-5] }", /unknown provider `opnai`: did you mean `openai`\?/],
    ["may: { models: ['*'] }", /must be `provider\/model`/],
    ["may: { models: ['*/gpt'] }", /must be `provider\/model`/],
    ["model_limits: { max_tokens: 0 }", /is refused/],
    ["model_limits: { n: 99 }", /is refused/],
    ["model_limits: { temperatur: 1 }", /unknown key `temperatur`.*did you mean `temperature`/],
  ] as const)
    assert.match(faultsOf(`agents: { a: { ${AGENT}, ${fields} } }\n`), fault, fields);
});

test("a chain is flat, and a model of its agent with each of its links", () => {
  const fleet = fleetOf(
    `models:
  small: openai/gpt-5-mini
  spare: { chain: [small, rehearsal/echo] }
  big: { chain: [anthropic/claude-x, spare], first_byte: 5s, deadline: 2m }
agents: { a: { command: [/bin/a], model: big }, b: { ${AGENT} } }\n`,
  );
  assert.deepEqual(fleet.chains?.get("big"), {
    links: [
      { provider: "anthropic", model: "claude-x", place: "6:18" },
      { provider: "openai", model: "gpt-5-mini", place: "5:20" },
      { provider: "rehearsal", model: "echo", place: "5:27" },
    ],
    firstByteMs: 5_000,
    deadlineMs: 120_000,
  });
  const [a, b] = fleet.agents;
  assert.deepEqual([a?.chain, a?.model], ["big", { provider: "anthropic", model: "claude-x" }]);
  assert.equal(b?.chain, undefined);
  const matrix = matrixOf(fleet);
  for (const model of ["anthropic/claude-x", "openai/gpt-5-mini", "rehearsal/echo"])
    assert.ok(decide(matrix, "a", { verb: "model.call", model }).allow, model);
  assert.ok(!decide(matrix, "b", { verb: "model.call", model: "openai/gpt-5-mini" }).allow);
});

test("several credentials of one provider, a built-in one or one's own", () => {
  const { providers, keys } = fleetOf(
    `providers:
  openai: { credential: [first, second] }
  own: { api: openai, base_url: "https://x.test/v1", credential: [a, b], price: { input: 1, output: 2 } }
agents: { a: { ${AGENT} } }\n`,
  );
  assert.deepEqual(keys?.get("openai"), ["first", "second"]);
  assert.deepEqual([providers[0]?.credential, providers[0]?.credentials], ["a", ["a", "b"]]);
});

test("when an agent runs away: the defaults, its own, or never", () => {
  const { agents } = fleetOf(
    `defaults: { runaway: { identical_calls: 9, identical_within: 1h } }
agents:
  a: { ${AGENT}, budget: { day: { usd: 100.00 } }, runaway: { spend_percent: 10 } }
  b: { ${AGENT}, runaway: off }
  c: { ${AGENT}, budget: { day: { usd: 100.00 } } }\n`,
  );
  assert.deepEqual(
    agents.map(({ runaway }) => runaway),
    [
      { identicalCalls: 9, identicalMs: 3_600_000, spendMicroUsd: 10_000_000, spendMs: 300_000 },
      undefined,
      { identicalCalls: 9, identicalMs: 3_600_000, spendMicroUsd: 50_000_000, spendMs: 300_000 },
    ],
  );
  for (const [form, fault] of [
    ["never", /expected one of `off`|has a value that is not known/],
    ["{ identical_calls: 1 }", /must be from 2/],
    ["{ spend_percent: 101 }", /is refused/],
    ["{ identical_within: 2d }", /must be from `1s` to `1d`/],
    ["{ identicl_calls: 3 }", /did you mean `identical_calls`/],
  ] as const)
    assert.match(faultsOf(`agents: { a: { ${AGENT}, runaway: ${form} } }\n`), fault, form);
});

test("answers are kept where the file says so: an agent's own rule, else its team's", () => {
  const { agents } = fleetOf(
    `teams:
  t: { members: [a, b] }
  u: { members: [a, b, c], cache: { ttl: 10m } }
agents:
  a: { ${AGENT}, cache: { ttl: 1h, nondeterministic: true } }
  b: { ${AGENT} }
  c: { ${AGENT} }
  d: { ${AGENT} }\n`,
  );
  const shared = { scope: "team:u", ttlMs: 600_000, nondeterministic: false };
  assert.deepEqual(
    agents.map(({ cache }) => cache),
    [{ scope: "agent:a", ttlMs: 3_600_000, nondeterministic: true }, shared, shared, undefined],
  );
  const split = fleetOf(
    `teams: { u: { members: [a, b, c], cache: { ttl: 10m } } }
tenants:
  x: { members: [a, d], cache: { ttl: 20m } }
  y: { members: [b, e], budget: { month: { usd: 7 } } }
agents: { a: { ${AGENT} }, b: { ${AGENT} }, c: { ${AGENT} }, d: { ${AGENT} }, e: { ${AGENT} } }\n`,
  );
  // A team with members of several tenants carries nothing from one to another.
  assert.deepEqual(
    split.agents.map(({ cache }) => cache?.scope),
    ["tenant:x/team:u", "tenant:y/team:u", "team:u", "tenant:x", undefined],
  );
  assert.deepEqual(split.tenants?.[1], {
    ...{ name: "y", members: ["b", "e"] },
    budget: { day: {}, month: { usd: 7_000_000 } },
  });
  assert.match(faultsOf(`agents: { a: { ${AGENT}, cache: { ttl: 2d } } }\n`), /must be from `1s` to `1d`/);
  assert.match(faultsOf(`agents: { a: { ${AGENT}, cache: {} } }\n`), /`agents.a.cache.ttl`/);
});
