import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../lib/clock.ts";
import { compileScrubber } from "./scrubber.ts";
import { builtInProviders, type Provider } from "./providers.ts";
import { targetOf } from "./providers-target.ts";
import { signAws } from "./signing.ts";
import type { WireName } from "./wire/format.ts";
import { wireFormats } from "./wire/formats.ts";

const atMs = Date.UTC(2026, 0, 2, 3, 4, 5);
const clock = { ...systemClock, nowMs: () => atMs };
const SECRET = "sk-live-4f9a1c77e2b8";
const AWS = "AKIAIOSFODNN7EXAMPLE:wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

interface Asked {
  readonly provider: Provider;
  readonly wire: WireName;
  readonly model?: string;
  readonly stream?: boolean;
  readonly value?: string | null;
  readonly body?: object;
}
function target({ provider, wire, model = "m", stream = false, value = SECRET, body = {} }: Asked) {
  const injection =
    value === null ? null : { value, automaton: compileScrubber([Buffer.from(value)], "x"), writes: [] };
  const agentHeaders = { "anthropic-version": "agent's", authorization: "agent's", "user-agent": "agent's" };
  return targetOf(
    {
      provider,
      format: wireFormats[wire],
      model,
      stream,
      injection,
      agentHeaders,
      body: Buffer.from(JSON.stringify(body)),
    },
    clock,
  );
}
const builtIn = (name: string): Provider => builtInProviders[name] as Provider;
const own: Provider = { ...builtIn("openai"), name: "own", baseUrl: "https://own.test", priceList: null };

test("each format goes to its own place with its own header", () => {
  for (const [provider, wire, stream, href, header] of [
    ["openai", "openai.chat", true, "https://api.openai.com/v1/chat/completions", "authorization"],
    ["openai", "openai.responses", true, "https://api.openai.com/v1/responses", "authorization"],
    ["openai", "openai.embeddings", false, "https://api.openai.com/v1/embeddings", "authorization"],
    ["anthropic", "anthropic.messages", true, "https://api.anthropic.com/v1/messages", "x-api-key"],
    ["anthropic", "anthropic.count", false, "https://api.anthropic.com/v1/messages/count_tokens", "x-api-key"],
    [
      "google",
      "gemini.generate",
      false,
      "https://generativelanguage.googleapis.com/v1beta/models/m:generateContent",
      "x-goog-api-key",
    ],
    [
      ...(["google", "gemini.generate", true] as const),
      "https://generativelanguage.googleapis.com/v1beta/models/m:streamGenerateContent?alt=sse",
      "x-goog-api-key",
    ],
    [
      "google",
      "gemini.embed",
      false,
      "https://generativelanguage.googleapis.com/v1beta/models/m:batchEmbedContents",
      "x-goog-api-key",
    ],
    [
      "google",
      "openai.chat",
      false,
      "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions",
      "authorization",
    ],
  ] as const) {
    const { url, headers, lines = "" } = target({ provider: builtIn(provider), wire, stream });
    assert.equal(url.href, href);
    const carrying = Object.keys(headers).filter((name) => headers[name]?.includes(SECRET));
    assert.deepEqual(carrying, [header]);
    assert.match(lines, /^accept-encoding: identity\r\n/m);
    assert.match(lines, /^user-agent: cordon\r\n/m, "nothing of the agent's own");
  }
  assert.equal(
    JSON.stringify(target({ provider: own, wire: "openai.chat", value: null }).headers).includes("authorization"),
    false,
  );
});

test("a model's name cannot leave its place in the path", () => {
  const bedrock: Provider = { ...own, hosting: { kind: "bedrock", region: "eu-central-1" } };
  const azure: Provider = { ...own, hosting: { kind: "azure", apiVersion: "2024-10-21" } };
  for (const model of ["../../x", "a/b", "a?b=c", "a#b", "a%2fb", "a:b"]) {
    const name = encodeURIComponent(model);
    assert.equal(
      target({ provider: builtIn("google"), wire: "gemini.generate", model }).url.pathname,
      `/v1beta/models/${name}:generateContent`,
    );
    assert.equal(
      target({ provider: bedrock, wire: "anthropic.messages", model, value: AWS }).url.pathname,
      `/model/${name}/invoke`,
    );
    assert.equal(
      target({ provider: azure, wire: "openai.chat", model }).url.pathname,
      `/openai/deployments/${name}/chat/completions`,
    );
  }
});

test("azure: the deployment in the path, the version in the query, the key in a header of its own", () => {
  const provider: Provider = { ...own, hosting: { kind: "azure", apiVersion: "2024-10-21" } };
  const { url, headers } = target({ provider, wire: "openai.chat", model: "mine" });
  assert.equal(url.href, "https://own.test/openai/deployments/mine/chat/completions?api-version=2024-10-21");
  assert.deepEqual([headers["api-key"], headers["authorization"]], [SECRET, undefined]);
  assert.equal(target({ provider, wire: "openai.responses" }).url.href, "https://own.test/openai/v1/responses");
});

test("bedrock: model and manner in the path, nothing of them in the body, and all of it signed", () => {
  const provider: Provider = { ...own, hosting: { kind: "bedrock", region: "eu-central-1" } };
  const call = { provider, wire: "anthropic.messages", model: "eu.anthropic.claude-x-v1:0", value: AWS } as const;
  const body = { model: "eu.anthropic.claude-x-v1:0", stream: true, max_tokens: 5, messages: [] };
  const { url, headers, body: sent } = target({ ...call, stream: true, body });
  assert.equal(url.href, "https://own.test/model/eu.anthropic.claude-x-v1%3A0/invoke-with-response-stream");
  assert.deepEqual(JSON.parse(sent.toString()), {
    anthropic_version: "bedrock-2023-05-31",
    max_tokens: 5,
    messages: [],
  });
  const [accessKeyId = "", secretAccessKey = ""] = AWS.split(":");
  const signed = signAws(
    {
      ...{ method: "POST", url, region: "eu-central-1", service: "bedrock", atMs, body: sent },
      headers: { "content-type": "application/json", accept: "*/*" },
    },
    { accessKeyId, secretAccessKey, sessionToken: undefined },
  );
  assert.equal(headers["authorization"], signed["authorization"]);
  assert.equal(headers["x-amz-date"], "20260102T030405Z");
  assert.ok(!JSON.stringify(headers).includes(secretAccessKey), "the secret itself never leaves");
  const other = target({ ...call, value: SECRET });
  assert.equal(JSON.stringify(other.headers).includes(SECRET), false, "a credential of another form goes nowhere");
});
