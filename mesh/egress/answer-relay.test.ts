import assert from "node:assert/strict";
import { test } from "node:test";
import { AnswerRelay } from "./answer-relay.ts";
import type { Provider } from "./providers.ts";
import { compileScrubber } from "./scrubber.ts";
import { limits } from "../../protocol/limits.ts";
import { NotConnected } from "./http1/not-connected.ts";
import { DONE, FINISH, kindOf, plain, playRelay, say, SECRET, streaming, USAGE } from "./testing/relay.ts";
import { anthropicFormat } from "./wire/anthropic.ts";
import { openaiFormat } from "./wire/openai.ts";

test("a whole stream passes as it is, however it is cut, and is answered", async () => {
  const whole = say("Hello") + say(" there") + FINISH + USAGE + DONE;
  for (const size of [1, 7, 64, whole.length]) {
    const play = streaming();
    play.start();
    for (let at = 0; at < whole.length; at += size) play.data(whole.slice(at, at + size));
    play.end();
    assert.equal(play.heard.text, whole);
    assert.deepEqual(play.heard.headers, { "content-type": "text/event-stream" });
    assert.deepEqual(await kindOf(play), ["answered", "seen", "complete"]);
  }
});

test("a stream without a report is answered, but what it cost is not known", async () => {
  const play = streaming();
  play.start();
  play.data(say("a") + FINISH + DONE);
  play.end();
  assert.deepEqual(await kindOf(play), ["answered", "unknown", "complete"]);
});

test("a stream that passes its reservation is cut in good form, before the rest has passed", async () => {
  const play = streaming(3);
  play.start();
  for (let i = 0; i < 10; i++) play.data(say(`w${i}`));
  assert.ok(play.heard.text.includes("w2") && !play.heard.text.includes("w3"));
  assert.match(
    play.heard.text,
    /: cordon reservation_used_up\n\ndata: \{[^\n]*"finish_reason":"length"\}\]\}\n\ndata: \[DONE\]\n\n$/,
  );
  assert.deepEqual(await kindOf(play), ["cut", "seen", "reservation_used_up"]);
  assert.deepEqual(play.calls, ["abort"]);
});

test("a stream that breaks or stops before its end is cut in good form", async () => {
  for (const [end, reason] of [
    [(play: ReturnType<typeof playRelay>) => play.error(new Error("reset")), "upstream_broken"],
    [(play: ReturnType<typeof playRelay>) => play.end(), "upstream_incomplete"],
    [(play: ReturnType<typeof playRelay>) => play.relay.abort("timeout"), "timeout"],
  ] as const) {
    const play = streaming();
    play.start();
    play.data(`${say("whole")}data: {"choices":[{"ind`);
    end(play);
    assert.ok(
      play.heard.text.startsWith(say("whole")) && play.heard.text.endsWith(DONE) && !play.heard.text.includes(`"ind\n`),
    );
    assert.deepEqual(await kindOf(play), ["cut", "seen", reason]);
  }
});

test("an anthropic stream that is cut inside of a block ends the block, the message and the stream", async () => {
  const play = playRelay({ format: anthropicFormat, stream: true, outputTokensMax: 2 });
  play.start();
  const named = (type: string, fields: object): string =>
    `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`;
  play.data(
    named("message_start", { message: { usage: { input_tokens: 1, output_tokens: 0 } } }) +
      named("content_block_start", { index: 0 }),
  );
  for (let i = 0; i < 5; i++)
    play.data(named("content_block_delta", { index: 0, delta: { type: "text_delta", text: "w" } }));
  assert.deepEqual(
    [...play.heard.text.matchAll(/^event: (.+)$/gm)].map(([, type]) => type),
    [
      "message_start",
      "content_block_start",
      "content_block_delta",
      "content_block_delta",
      "content_block_stop",
      "message_delta",
      "message_stop",
    ],
  );
});

test("an event, a stream or a plain answer beyond its bound is not collected", async () => {
  const long = streaming();
  long.start();
  long.data(`data: ${"x".repeat(limits.model.eventBytesMax)}`);
  assert.deepEqual(await kindOf(long), ["cut", "seen", "event_too_large"]);
  const many = streaming(1e9);
  many.start();
  const comment = `: ${"x".repeat(200_000)}\n\n`;
  for (let bytes = 0; bytes <= limits.model.responseBytesMax; bytes += comment.length) many.data(comment);
  assert.deepEqual(await kindOf(many), ["cut", "seen", "answer_too_large"]);
  const body = plain();
  body.start();
  for (let bytes = 0; bytes <= limits.model.responseBytesMax; bytes += 1_000_000) body.data(" ".repeat(1_000_000));
  assert.deepEqual(await kindOf(body), ["failed", "upstream_failed", "unknown"]);
  const error = plain();
  error.start(500);
  error.data("x".repeat(65 * 1024));
  assert.deepEqual(await kindOf(error), ["failed", "upstream_failed", "nothing"]);
});

test("what was not asked for is refused: another type, a compressed answer, a redirect", async () => {
  for (const stream of [true, false]) {
    for (const [status, headers, billed] of [
      [200, { "content-type": "text/html" }, "unknown"],
      [200, { "content-type": stream ? "application/json" : "text/event-stream" }, "unknown"],
      [204, {}, "unknown"],
      [200, { "content-encoding": "gzip" }, "unknown"],
      [500, { "content-encoding": "br" }, "unknown"],
      [302, { location: "https://evil.test/" }, "nothing"],
      [307, { location: "/v2" }, "nothing"],
    ] as const) {
      const play = playRelay({ format: openaiFormat, stream });
      play.start(status, headers);
      play.data(say("never"));
      play.end();
      assert.deepEqual(
        await kindOf(play),
        ["failed", "upstream_failed", billed],
        `${status} ${JSON.stringify(headers)}`,
      );
      assert.equal(play.heard.text, "");
      assert.deepEqual(play.calls, ["abort"]);
    }
  }
});

test("of 401 and 403 not a word passes; other errors pass, scrubbed", async () => {
  for (const status of [401, 403]) {
    const play = plain();
    play.start(status);
    play.data(`{"error":"bad key ${SECRET.slice(0, 7)}…"}`);
    play.end();
    assert.deepEqual(await kindOf(play), ["failed", "upstream_rejected", "nothing"]);
    assert.equal(play.heard.text, "");
  }
  for (const stream of [true, false]) {
    for (const status of [400, 404, 429, 500, 529]) {
      const play = playRelay({ format: openaiFormat, stream });
      play.start(status, { "retry-after": "3", "set-cookie": "a=b", "x-request-id": `r ${SECRET}` });
      play.data(`{"error":{"message":"you sent ${SECRET}`);
      play.data(`"}}`);
      play.end();
      assert.equal(play.heard.text, `{"error":{"message":"you sent [gone]"}}`);
      assert.deepEqual(play.heard.headers, {
        "content-type": "application/json",
        "retry-after": "3",
        "x-request-id": "r [gone]",
      });
      assert.deepEqual(await kindOf(play), ["passed_error", "nothing", status]);
    }
  }
});

test("a credential in a head is counted with those in the body, each time that the same head comes", () => {
  const injection = { value: SECRET, automaton: compileScrubber([Buffer.from(SECRET)], "[gone]"), writes: [] };
  const head = { "content-type": "application/json", "x-request-id": `a-${SECRET}-b` };
  const controller = { abort: () => {} } as never;
  const provider = { name: "own" } as Provider;
  for (let round = 0; round < 3; round++) {
    const scrubbed: unknown[] = [];
    const relay = new AnswerRelay(
      { provider, meter: openaiFormat.meter(), stream: false, outputTokensMax: 1_000, injection },
      { head: () => {}, write: () => true, drained: () => {} },
      (outcome) => scrubbed.push("scrubbed" in outcome ? outcome.scrubbed : outcome),
    );
    relay.onResponseStart(controller, 200, head);
    relay.onResponseData(controller, Buffer.from(JSON.stringify({ choices: [], usage: {}, note: SECRET })));
    relay.onResponseEnd(controller);
    assert.deepEqual(scrubbed, [2]);
  }
});

test("a head is looked through once for each credential, however often the same one comes", async () => {
  const credentials = ["sk-live-4f9a1c77e2b8", "sk-test-99d0c1ab3377"].map((secret) => ({
    ...{ value: secret, automaton: compileScrubber([Buffer.from(secret)], "[gone]"), writes: [] },
  }));
  const headOf = (id: string) => ({ "content-type": "application/json", "x-request-id": id });
  const heads = credentials.map(({ value }) => headOf(`a-${value}-b`));
  const told = (injection: (typeof credentials)[number], head: ReturnType<typeof headOf>): string | undefined => {
    let heard: string | undefined;
    const relay = new AnswerRelay(
      {
        provider: { name: "own" } as Provider,
        ...{ meter: openaiFormat.meter(), stream: false, outputTokensMax: 1_000, injection },
      },
      { head: (_status, headers) => (heard = headers["x-request-id"]), write: () => true, drained: () => {} },
      () => {},
    );
    const controller = { abort: () => {} } as never;
    relay.onResponseStart(controller, 200, head);
    relay.onResponseData(controller, Buffer.from("{}"));
    relay.onResponseEnd(controller);
    return heard;
  };
  // Each head twice for one credential, then for the other: whose it was looked through for is asked, not whether it was.
  for (const [at, head] of heads.entries())
    for (const [mine, injection] of [...credentials.entries(), ...credentials.entries()])
      for (let round = 0; round < 2; round++)
        assert.equal(told(injection, head), at === mine ? "a-[gone]-b" : head["x-request-id"]);
  for (const [mine, injection] of credentials.entries())
    for (const [at, head] of heads.entries())
      assert.equal(told(injection, head), at === mine ? "a-[gone]-b" : head["x-request-id"]);
});

test("a plain answer passes whole; what is not JSON does not", async () => {
  const play = plain();
  play.start();
  const body = JSON.stringify({
    choices: [{ index: 0, message: { content: "hi" }, finish_reason: "stop" }],
    usage: { prompt_tokens: 1, completion_tokens: 1 },
  });
  play.data(body.slice(0, 9));
  assert.equal(play.heard.status, 0);
  play.data(body.slice(9));
  play.end();
  assert.deepEqual([play.heard.text, play.heard.status], [body, 200]);
  assert.deepEqual(await kindOf(play), ["answered", "seen", "complete"]);
  const broken = plain();
  broken.start();
  broken.data("{");
  broken.end();
  assert.deepEqual(await kindOf(broken), ["failed", "upstream_failed", "unknown"]);
});

test("when the agent reads slowly, the provider is paused until it has caught up", () => {
  const play = streaming();
  play.start();
  play.data(say("a"));
  assert.deepEqual(play.calls, []);
  play.fill();
  play.data(say("b"));
  assert.deepEqual(play.calls, ["pause"]);
  play.heard.resume?.();
  assert.deepEqual(play.calls, ["pause", "resume"]);
});

test("a provider that was never reached costs nothing; one that broke later may have charged", async () => {
  const broken = Object.assign(new Error("broken"), { code: "ECONNREFUSED" });
  for (const [error, billed] of [
    [new NotConnected("ECONNREFUSED"), "nothing"],
    // Whatever it is called: it came over a connection.
    [broken, "unknown"],
  ] as const) {
    for (const play of [streaming(), plain()]) {
      play.error(error);
      assert.deepEqual(await kindOf(play), ["failed", "upstream_failed", billed]);
    }
  }
  const play = plain();
  play.error(new NotConnected("CREDENTIAL_REVOKED"));
  assert.deepEqual(await kindOf(play), ["failed", "upstream_rejected", "nothing"]);
});

test("an agent that has gone ends the provider's answer at once; nothing is written after", async () => {
  const play = streaming();
  play.start();
  play.data(say("a"));
  play.relay.abort("client_gone");
  assert.deepEqual(play.calls, ["abort"]);
  play.data(say("b"));
  play.end();
  play.relay.abort("timeout");
  assert.equal(play.heard.text, say("a"));
  assert.deepEqual(await kindOf(play), ["aborted", "seen", "client_gone"]);
  const early = streaming();
  early.relay.abort("client_gone");
  early.start();
  assert.equal(early.heard.status, 0);
  const unseen = plain();
  unseen.start();
  unseen.relay.abort("client_gone");
  assert.deepEqual(await kindOf(unseen), ["aborted", "unknown", "client_gone"]);
});
