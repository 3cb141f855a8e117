import assert from "node:assert/strict";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { systemClock } from "../../lib/clock.ts";
import { limits } from "../../protocol/limits.ts";
import { startRehearsal, type Rehearsal } from "./rehearsal.ts";
import { builtInScenarios } from "./scenario/built-in.ts";
import { ask, askAnthropic, askOpenAi, startForTest, TEST_KEY, testKey } from "./testing/client.ts";
import { hearAnthropic, hearAnthropicStream, hearOpenAi, hearOpenAiStream, readEvents } from "./testing/streams.ts";

let server: Rehearsal;
before(async () => (server = await startForTest()));
after(() => server.close());

const says = (content: string): object => ({ messages: [{ role: "user", content }] });

test("echo answers with the words of the user, under either name of the model", async () => {
  for (const model of ["echo", "rehearsal/echo"]) {
    const answered = await askOpenAi(server, { model, ...says("Message from principal:ann:\nGood day") });
    assert.equal(answered.status, 200);
    assert.equal(hearOpenAi(answered.text).text, "Good day");
    assert.equal(JSON.parse(answered.text).model, "rehearsal/echo");
  }
  const answered = await askAnthropic(server, { model: "echo", max_tokens: 10, ...says("Good day") });
  assert.equal(hearAnthropic(answered.text).text, "Good day");
});

test("pictures are taken in every format, and nobody looks at them", async () => {
  const text = { type: "text", text: "what is this?" };
  const png = { type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } };
  const openAi = await askOpenAi(server, { model: "echo", messages: [{ role: "user", content: [text, png] }] });
  assert.equal(hearOpenAi(openAi.text).text, "what is this?");
  const image = { type: "image", source: { type: "base64", media_type: "image/png", data: "AAAA" } };
  const body = { model: "echo", max_tokens: 10, messages: [{ role: "user", content: [image, text] }] };
  assert.equal(hearAnthropic((await askAnthropic(server, body)).text).text, "what is this?");
  const input = [{ role: "user", content: [{ type: "input_text", text: "what is this?" }, { type: "input_image" }] }];
  const responses = await ask(server, { path: "/v1/responses", body: JSON.stringify({ model: "echo", input }) });
  assert.match(responses.text, /what is this\?/);
});

test("every answer says what it is", async () => {
  const answers = [
    await askOpenAi(server, { model: "echo", ...says("hi") }),
    await askOpenAi(server, { model: "echo", stream: true, ...says("hi") }),
    await askAnthropic(server, { model: "echo", max_tokens: 10, ...says("hi") }),
    await askOpenAi(server, { model: "unknown", ...says("hi") }),
    await ask(server, { method: "GET", path: "/v1/models" }),
  ];
  for (const { headers } of answers) assert.equal(headers["x-cordon-rehearsal"], "1");
  assert.match(answers[0]?.text ?? "", /"system_fingerprint":"rehearsal"/);
  assert.match(String(answers[0]?.headers["x-request-id"]), /^req_[0-9a-f]{24}$/);
  assert.match(String(answers[2]?.headers["request-id"]), /^req_[0-9a-f]{24}$/);
});

test("counter gives exactly the tokens asked for, a token an event", async () => {
  for (const count of [1, 37, 1_000]) {
    const body = {
      model: "counter",
      stream: true,
      stream_options: { include_usage: true },
      ...says(`please count ${count}`),
    };
    const heard = await askOpenAi(server, body);
    assert.equal(hearOpenAiStream(heard.text).outputTokens, count);
    assert.equal(
      readEvents(heard.text).filter(({ data }) => data.includes('"content":"') && !data.includes('"content":""'))
        .length,
      count,
    );
    const anthropic = await askAnthropic(server, {
      model: "counter",
      max_tokens: 5_000,
      stream: true,
      ...says(`count ${count}`),
    });
    assert.equal(hearAnthropicStream(anthropic.text).outputTokens, count);
  }
});

test("max_tokens and stop are honoured in both formats", async () => {
  const cut = hearOpenAi((await askOpenAi(server, { model: "counter", max_tokens: 5, ...says("count 50") })).text);
  assert.deepEqual([cut.finish, cut.outputTokens], ["length", 5]);
  const anthropic = hearAnthropicStream(
    (await askAnthropic(server, { model: "counter", max_tokens: 5, stream: true, ...says("count 50") })).text,
  );
  assert.deepEqual([anthropic.finish, anthropic.outputTokens], ["max_tokens", 5]);
  const stopped = hearOpenAi((await askOpenAi(server, { model: "counter", stop: ["003"], ...says("count 50") })).text);
  assert.deepEqual([stopped.text, stopped.finish], ["000 001 002 ", "stop"]);
});

test("without the key, or with another, nothing is answered", async () => {
  const wrong: Record<string, string>[] = [
    { authorization: "" },
    { authorization: `Bearer ${TEST_KEY}x` },
    { authorization: `Bearer ${TEST_KEY.slice(1)}` },
    { authorization: `Basic ${TEST_KEY}` },
    { authorization: `Bearer ${TEST_KEY}`, "x-api-key": "other" },
  ];
  for (const headers of wrong) {
    const openAi = await askOpenAi(server, { model: "echo", ...says("hi") }, { headers });
    assert.equal(openAi.status, 401);
    assert.equal(JSON.parse(openAi.text).error.code, "invalid_api_key");
    const anthropic = await askAnthropic(server, { model: "echo", max_tokens: 1, ...says("hi") }, { headers });
    assert.equal(anthropic.status, 401);
    assert.equal(JSON.parse(anthropic.text).error.type, "authentication_error");
    assert.equal((await ask(server, { method: "GET", path: "/v1/models", headers })).status, 401);
  }
  const byHeader = await askAnthropic(
    server,
    { model: "echo", max_tokens: 1, ...says("hi") },
    { headers: { authorization: "", "x-api-key": TEST_KEY } },
  );
  assert.equal(byHeader.status, 200);
});

test("models are listed in the format of who asks", async () => {
  const openAi = JSON.parse((await ask(server, { method: "GET", path: "/v1/models" })).text);
  assert.deepEqual(
    openAi.data.map((model: { id: string }) => model.id),
    ["rehearsal/echo", "rehearsal/counter", "rehearsal/fault"],
  );
  const anthropic = JSON.parse(
    (await ask(server, { method: "GET", path: "/v1/models", headers: { "anthropic-version": "2023-06-01" } })).text,
  );
  assert.deepEqual(
    [anthropic.first_id, anthropic.last_id, anthropic.has_more],
    ["rehearsal/echo", "rehearsal/fault", false],
  );
});

test("what is not understood is refused in the provider's own form", async () => {
  const hi = says("hi");
  const cases: [Promise<{ status: number; text: string }>, number, RegExp][] = [
    [askOpenAi(server, { model: "gpt-9", ...hi }), 404, /model_not_found/],
    [askOpenAi(server, { model: "echo:stall-first", ...hi }), 404, /model_not_found/],
    [askAnthropic(server, { model: "claude-9", max_tokens: 1, ...hi }), 404, /not_found_error/],
    [
      ask(server, { path: "/v1/messages", body: { model: "echo", max_tokens: 1, ...hi } }),
      400,
      /anthropic-version: header is required/,
    ],
    [ask(server, { path: "/v1/images", body: {} }), 404, /unknown route/],
    [ask(server, { path: "/v1/chat/completions", method: "GET" }), 404, /unknown route/],
    [ask(server, { path: "/v1/chat/completions", body: '{"model":"echo","model":"counter"}' }), 400, /same name twice/],
    [ask(server, { path: "/v1/chat/completions", body: "{" }), 400, /not valid JSON/],
    [
      ask(server, { path: "/v1/chat/completions", body: `{"a":${"[".repeat(40)}${"]".repeat(40)}}` }),
      400,
      /nested deeper/,
    ],
    [
      ask(server, { path: "/v1/chat/completions", body: "x".repeat(limits.rehearsal.bodyBytesMax + 1) }),
      413,
      /larger than/,
    ],
  ];
  for (const [answer, status, expected] of cases) {
    const { status: got, text } = await answer;
    assert.equal(got, status, text);
    assert.match(text, expected);
  }
});

test("a client that leaves ends its answer: nobody waits on", async () => {
  let waiting = 0;
  const sleep = (ms: number, signal?: AbortSignal): Promise<void> => {
    waiting++;
    return systemClock.sleep(ms, signal).finally(() => waiting--);
  };
  const own = await startForTest([], { sleep });
  const leave = (text: string): boolean => text.includes("002 ");
  const left = await askOpenAi(
    own,
    { model: "fault:stall-middle", stream: true, ...says("count 50") },
    { onData: (text) => (assert.equal(waiting, 1), leave(text)) },
  );
  assert.equal(left.complete, false);
  await systemClock.sleep(50);
  assert.equal(waiting, 0);
  await own.close();
});

test("closing ends a stream that will not end by itself, after the grace", async () => {
  const own = await startForTest();
  const stuck = askOpenAi(own, { model: "fault:stall-middle", stream: true, ...says("count 50") });
  await systemClock.sleep(50);
  await own.close();
  assert.equal((await stuck).complete, false);
});

test("on a socket: only the owner may connect, a stale one is replaced, a file is not", async () => {
  const folder = await mkdtemp(join(tmpdir(), "rehearsal-"));
  const options = { scenarios: [], apiKey: testKey(), seed: "s", clock: systemClock };
  try {
    const socketPath = join(folder, "model.sock");
    const own = await startRehearsal({ ...options, listen: { socketPath } });
    assert.equal((await stat(socketPath)).mode & 0o777, 0o600);
    assert.equal(hearOpenAi((await askOpenAi(own, { model: "echo", ...says("hi") })).text).text, "hi");
    await own.close();
    const stale = createServer();
    await new Promise<void>((resolve) => stale.listen(socketPath, resolve));
    const again = await startRehearsal({ ...options, listen: { socketPath } });
    assert.equal((await askOpenAi(again, { model: "echo", ...says("hi") })).status, 200);
    await again.close();
    stale.close();
    const file = join(folder, "file");
    await writeFile(file, "keep me");
    await assert.rejects(startRehearsal({ ...options, listen: { socketPath: file } }), { code: "EADDRINUSE" });
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("two scenarios of one name are an error", async () => {
  await assert.rejects(startForTest([...builtInScenarios]), /two scenarios are called `echo`/);
});
