import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { toolNames } from "../../protocol/door.ts";
import { route } from "./route.ts";

const MESSAGE = `msg_${"a2".repeat(13)}`;

const NO_ROUTE = ["not_found", "malformed", "unsupported"];
const GEMINI = "/gemini/v1beta/models/p/m-1";

/** The whole door, as method and target. */
const known: readonly (readonly [string, string, object])[] = [
  ["GET", "/v1/self", { kind: "self" }],
  ["GET", "/v1/inbox", { kind: "inbox", waitMs: 0 }],
  ["GET", "/v1/inbox?wait_ms=0", { kind: "inbox", waitMs: 0 }],
  ["GET", "/v1/inbox?wait_ms=1500", { kind: "inbox", waitMs: 1_500 }],
  ["GET", "/v1/inbox?wait_ms=999999", { kind: "inbox", waitMs: 25_000 }],
  ["POST", `/v1/inbox/${MESSAGE}/done`, { kind: "done", message: MESSAGE }],
  ["POST", `/v1/inbox/${MESSAGE}/reply`, { kind: "reply", message: MESSAGE }],
  ...toolNames.map((tool) => ["POST", `/v1/tools/${tool}`, { kind: "tool", tool }] as const),
  ["GET", "/openai/v1/models", { kind: "models" }],
  ["POST", "/openai/v1/chat/completions", { kind: "model", wire: "openai.chat" }],
  ["POST", "/openai/v1/responses", { kind: "model", wire: "openai.responses" }],
  ["POST", "/openai/v1/embeddings", { kind: "model", wire: "openai.embeddings" }],
  ["POST", "/anthropic/v1/messages", { kind: "model", wire: "anthropic.messages" }],
  ["POST", "/anthropic/v1/messages?beta=true", { kind: "model", wire: "anthropic.messages" }],
  ["POST", "/anthropic/v1/messages/count_tokens", { kind: "model", wire: "anthropic.count" }],
  ["POST", "/anthropic/v1/messages/count_tokens?beta=true", { kind: "model", wire: "anthropic.count" }],
  [
    "POST",
    `${GEMINI}:generateContent`,
    { kind: "model", wire: "gemini.generate", from: { model: "p/m-1", stream: false } },
  ],
  [
    "POST",
    `${GEMINI}:streamGenerateContent?alt=sse`,
    { kind: "model", wire: "gemini.generate", from: { model: "p/m-1", stream: true } },
  ],
  [
    "POST",
    `${GEMINI}:batchEmbedContents`,
    { kind: "model", wire: "gemini.embed", from: { model: "p/m-1", stream: false } },
  ],
];

test("every route of the door", () => {
  for (const [method, target, value] of known) assert.deepEqual(route(method, target), { ok: true, value }, target);
});

test("another method on a known path is refused as such", () => {
  for (const [method, target] of known) {
    for (const other of ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "get", ""]) {
      if (other === method) continue;
      const routed = route(other, target);
      assert.equal(routed.ok ? "" : routed.error.code, "method_not_allowed", `${other} ${target}`);
    }
  }
});

test("no other spelling of a path is known", () => {
  const twist = [
    (path: string) => `/${path}`,
    (path: string) => `${path}/`,
    (path: string) => `${path}?`,
    (path: string) => `${path}?x=1`,
    (path: string) => `${path}#a`,
    (path: string) => `${path};a`,
    (path: string) => `${path}%00`,
    (path: string) => ` ${path}`,
    (path: string) => `${path} `,
    (path: string) => `http://door${path}`,
    (path: string) => `//door${path}`,
    (path: string) => `/./${path.slice(1)}`,
    (path: string) => `/x/..${path}`,
    (path: string) => path.replace("/v1/", "/v1/./"),
    (path: string) => path.replace("/v1/", "/v1//"),
    (path: string) => path.replace("/v1/", "/v1/x/../"),
    (path: string) => path.replace("/v1/", "/V1/"),
    (path: string) => path.replace("/v1/", "/%76%31/"),
    (path: string) => path.replace("/v1/", "/v1%2f"),
    (path: string) => path.replace("/v1/", "\\v1\\"),
    (path: string) => path.replace("/v1/", "/v1/\u0000"),
    (path: string) => path.toUpperCase(),
    (path: string) => path.slice(1),
    (path: string) => path.slice(0, -1),
  ];
  for (const [method, target] of known.filter(([, target]) => !target.includes("?"))) {
    for (const change of twist) {
      if (change(target) === target) continue;
      const routed = route(method, change(target));
      assert.ok(!routed.ok && NO_ROUTE.includes(routed.error.code), change(target));
    }
  }
});

test("the inbox takes `wait_ms` once, in digits, and nothing else", () => {
  for (const query of [
    "wait_ms=",
    "wait_ms=-1",
    "wait_ms=1e3",
    "wait_ms=1&wait_ms=2",
    "wait_ms=1&x=1",
    "WAIT_MS=1",
    "wait_ms=1234567",
    "wait_ms=%31",
    "x",
    "=",
  ]) {
    const routed = route("GET", `/v1/inbox?${query}`);
    assert.equal(routed.ok ? "" : routed.error.code, "malformed", query);
  }
});

test("a message is named by an id of ours only", () => {
  for (const id of [
    "",
    "msg_",
    "msg_short",
    `${MESSAGE}0`,
    MESSAGE.toUpperCase(),
    `cnv_${"a".repeat(26)}`,
    "..",
    "__proto__",
  ]) {
    assert.equal(route("POST", `/v1/inbox/${id}/done`).ok, false, id);
  }
});

test("whatever the target, an accepted one is one of the canonical spellings", () => {
  const canonical = new Set(
    known.map(([method, target]) => `${method} ${target.replace(/wait_ms=\d+$/, "wait_ms=N")}`),
  );
  const part = fc.constantFrom(
    "/",
    "v1",
    "inbox",
    "tools",
    "self",
    "files.read",
    "openai",
    "anthropic",
    "messages",
    "chat",
    "completions",
    MESSAGE,
    "done",
    "reply",
    "..",
    ".",
    "%2e",
    "?",
    "wait_ms=5",
    "beta=true",
    "http://x",
    "//",
    "",
    "constructor",
    "\u00e9",
  );
  const target = fc.array(part, { maxLength: 9 }).map((parts) => parts.join(""));
  const mutated = fc
    .tuple(fc.constantFrom(...known), fc.nat(60), fc.string({ unit: "binary", maxLength: 2 }))
    .map(([[, whole], at, text]) => whole.slice(0, at) + text + whole.slice(at + text.length));
  fc.assert(
    fc.property(fc.constantFrom("GET", "POST"), fc.oneof(target, mutated), (method, candidate) => {
      const routed = route(method, candidate);
      if (!routed.ok) return assert.ok(routed.error.reason.length < 200);
      const name = candidate.replace(/wait_ms=\d{1,6}$/, "wait_ms=N").replace(/msg_[a-z0-9]{26}/, MESSAGE);
      assert.ok(canonical.has(`${method} ${name}`), candidate);
    }),
    { seed: 13, numRuns: 5_000 },
  );
});
