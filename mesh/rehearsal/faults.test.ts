import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { faultNames, faultOf } from "./faults.ts";
import type { Rehearsal } from "./rehearsal.ts";
import { askAnthropic, askOpenAi, startForTest, TEST_KEY, type Answered } from "./testing/client.ts";
import { hearAnthropic, hearAnthropicStream, hearOpenAi, hearOpenAiStream } from "./testing/streams.ts";

let server: Rehearsal;
before(async () => (server = await startForTest()));
after(() => server.close());

const openAi = (fault: string, more: object = {}): Promise<Answered> =>
  askOpenAi(server, { model: `rehearsal/fault:${fault}`, messages: [{ role: "user", content: "count 40" }], ...more });
const anthropic = (fault: string, more: object = {}): Promise<Answered> =>
  askAnthropic(server, {
    model: `fault:${fault}`,
    max_tokens: 1_000,
    messages: [{ role: "user", content: "count 40" }],
    ...more,
  });
const streamed = { stream: true, stream_options: { include_usage: true } };

test("errors of a provider, with its status and body", async () => {
  const statuses: [string, number, string, string][] = [
    ["status-400", 400, "invalid_request_error", "invalid_request_error"],
    ["status-401", 401, "invalid_request_error", "authentication_error"],
    ["status-403", 403, "invalid_request_error", "permission_error"],
    ["status-404", 404, "invalid_request_error", "not_found_error"],
    ["status-413", 413, "invalid_request_error", "request_too_large"],
    ["status-429", 429, "requests", "rate_limit_error"],
    ["status-500", 500, "server_error", "api_error"],
    ["status-529", 529, "server_error", "overloaded_error"],
  ];
  for (const [fault, status, openAiType, anthropicType] of statuses) {
    for (const more of [{}, streamed]) {
      const a = await openAi(fault, more);
      assert.deepEqual([a.status, JSON.parse(a.text).error.type], [status, openAiType]);
      assert.equal(a.headers["retry-after"], status === 429 ? "1" : undefined);
      const b = await anthropic(fault, { stream: "stream" in more });
      assert.deepEqual(
        [b.status, JSON.parse(b.text).type, JSON.parse(b.text).error.type],
        [status, "error", anthropicType],
      );
    }
  }
});

test("a fault can be named in the words of the user", async () => {
  const answered = await askOpenAi(server, {
    model: "fault",
    messages: [{ role: "user", content: "Please: fault status-500" }],
  });
  assert.equal(answered.status, 500);
  const unknown = await askOpenAi(server, { model: "fault", messages: [{ role: "user", content: "fault lightning" }] });
  assert.equal(unknown.status, 400);
  for (const name of faultNames) assert.ok(unknown.text.includes(name));
  assert.equal(
    (await askOpenAi(server, { model: "fault", messages: [{ role: "user", content: "count 3" }] })).status,
    200,
  );
  assert.deepEqual(faultOf("echo", "fault status-500"), { ok: true, value: { type: "none" } });
});

test("a cut connection: before the first byte, in a stream, in a body", async () => {
  await assert.rejects(openAi("cut-first"), { code: "ECONNRESET" });
  const stream = await openAi("cut-middle", streamed);
  assert.equal(stream.complete, false);
  assert.match(stream.text, /"content":"000 "/);
  assert.doesNotMatch(stream.text, /DONE|finish_reason":"stop/);
  const body = await anthropic("cut-middle");
  assert.equal(body.complete, false);
  assert.throws(() => JSON.parse(body.text));
});

test("a stall holds back the first byte, or what comes after the fourth frame, and then goes on", async () => {
  const timed = async (
    fault: string,
    more: object,
  ): Promise<{ answered: Answered; firstMs: number; totalMs: number }> => {
    const start = performance.now();
    let firstMs = 0;
    const answered = await askOpenAi(
      server,
      { model: "fault", messages: [{ role: "user", content: `count 20 fault ${fault} 150` }], ...more },
      { onData: () => ((firstMs ||= performance.now() - start), false) },
    );
    return { answered, firstMs, totalMs: performance.now() - start };
  };
  const first = await timed("stall-first", streamed);
  assert.ok(first.firstMs >= 145, `${first.firstMs}`);
  const middle = await timed("stall-middle", streamed);
  // Both are measured by one process: what it is late by does not count.
  const stalled = ({ firstMs, totalMs }: { readonly firstMs: number; readonly totalMs: number }): void =>
    assert.ok(totalMs - firstMs >= 100, `${firstMs} ${totalMs}`);
  stalled(middle);
  assert.equal(hearOpenAiStream(middle.answered.text).outputTokens, 20);
  const whole = await timed("stall-middle", {});
  stalled(whole);
  assert.equal(hearOpenAi(whole.answered.text).outputTokens, 20);
});

test("a malformed answer", async () => {
  const stream = await openAi("malformed", streamed);
  assert.ok(stream.complete);
  assert.throws(() => hearOpenAiStream(stream.text));
  assert.match(stream.text, /data: \{"choices":\[\{"delta":\n\n/);
  const body = await anthropic("malformed");
  assert.ok(body.complete && body.status === 200);
  assert.throws(() => JSON.parse(body.text));
});

test("usage that lies", async () => {
  const honest = hearOpenAi((await openAi("usage-low", { model: "fault" })).text);
  assert.equal(honest.outputTokens, 40);
  const told = async (fault: string): Promise<(number | null)[]> => [
    hearOpenAi((await openAi(fault)).text).outputTokens,
    hearOpenAiStream((await openAi(fault, streamed)).text).outputTokens,
    hearAnthropic((await anthropic(fault)).text).outputTokens,
    hearAnthropicStream((await anthropic(fault, { stream: true })).text).outputTokens,
  ];
  assert.deepEqual(await told("usage-low"), [1, 1, 1, 1]);
  assert.deepEqual(await told("usage-high"), [400, 400, 400, 400]);
  assert.deepEqual(await told("usage-missing"), [null, null, null, null]);
});

test("an overrun says more than was allowed, and admits it", async () => {
  for (const stream of [false, true]) {
    const answered = await anthropic("overrun", { max_tokens: 30, stream });
    const heard = stream ? hearAnthropicStream(answered.text) : hearAnthropic(answered.text);
    assert.ok((heard.outputTokens ?? 0) >= 60, `${heard.outputTokens}`);
    assert.equal(heard.finish, "end_turn");
  }
});

test("reflected headers hold the credential, over several events", async () => {
  const { text } = hearOpenAi((await openAi("reflect-headers")).text);
  assert.equal(JSON.parse(text).authorization, `Bearer ${TEST_KEY}`);
  const stream = await openAi("reflect-headers", streamed);
  assert.ok(hearOpenAiStream(stream.text).text.includes(TEST_KEY));
});
