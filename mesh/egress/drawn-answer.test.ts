/** Answers with pictures pass in pieces: nothing of them is collected, and what they cost is known at their end. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { limits } from "../../protocol/limits.ts";
import { kindOf, playRelay, SECRET } from "./testing/relay.ts";
import { imagesFormat } from "./wire/openai-images.ts";

const play = () => playRelay({ format: imagesFormat, stream: false });
const report = (more = "") =>
  `"usage":{"input_tokens":9,"output_tokens":272,"total_tokens":281,"input_tokens_details":{"text_tokens":9,"image_tokens":0}}${more}}`;
const answer = (picture: string, more = ""): string =>
  `{"created":1,"data":[{"b64_json":"${picture}"}],${report(more)}`;

test("an answer passes as it comes, however it is cut, and its report is read", async () => {
  const whole = answer("iVBORw0KGgo=".repeat(50));
  for (const size of [1, 13, whole.length]) {
    const relay = play();
    relay.start();
    let passedEarly = 0;
    for (let at = 0; at < whole.length; at += size) {
      relay.data(whole.slice(at, at + size));
      if (at < whole.length / 2) passedEarly = relay.heard.text.length;
    }
    if (size < 100) assert.ok(passedEarly > whole.length / 4, "before its end has come");
    relay.end();
    assert.equal(relay.heard.text, whole);
    assert.deepEqual(await kindOf(relay), ["answered", "seen", "complete"]);
  }
});

test("a slow reader pauses the provider, piece by piece", () => {
  const relay = play();
  relay.start();
  relay.data(`{"data":[{"b64_json":"`);
  relay.fill();
  relay.data("A".repeat(1_000));
  assert.deepEqual(relay.calls, ["pause"]);
  relay.heard.resume?.();
  assert.deepEqual(relay.calls, ["pause", "resume"]);
});

test("an answer that has no end of its own is cut at its bound, and charged as it was held", async () => {
  const relay = play();
  relay.start();
  relay.data(`{"data":[{"b64_json":"`);
  const piece = Buffer.alloc(1024 * 1024, "A");
  for (let sent = 0; sent <= limits.model.drawnAnswerBytesMax; sent += piece.length) {
    relay.heard.text = "";
    relay.data(piece);
    if (sent + 2 * piece.length < limits.model.drawnAnswerBytesMax)
      assert.ok(relay.heard.text.length > piece.length / 2, "each piece passes at once: nothing is collected");
  }
  assert.deepEqual(await kindOf(relay), ["cut", "unknown", "answer_too_large"]);
  assert.ok(relay.calls.includes("abort"));
});

test("whatever breaks an answer off, the hold stands: a picture that was drawn was charged", async () => {
  for (const [end, wanted] of [
    [(relay: ReturnType<typeof play>) => relay.end(), ["cut", "unknown", "upstream_incomplete"]],
    [(relay: ReturnType<typeof play>) => relay.error(new Error("reset")), ["cut", "unknown", "upstream_broken"]],
    [(relay: ReturnType<typeof play>) => relay.relay.abort("timeout"), ["cut", "unknown", "timeout"]],
    [(relay: ReturnType<typeof play>) => relay.relay.abort("client_gone"), ["aborted", "unknown", "client_gone"]],
  ] as const) {
    const relay = play();
    relay.start();
    relay.data(`{"created":1,${report(`,"data":[{"b64_json":"AA`).slice(0, -1)}`);
    end(relay);
    assert.deepEqual(await kindOf(relay), wanted, "also where the report came first");
  }
});

test("a report that is missing, that lies by its form or that counts pictures sent along is none", async () => {
  for (const text of [
    `{"created":1,"data":[]}`,
    `{"data":[],"usage":{"input_tokens":-1,"output_tokens":5}}`,
    `{"data":[],"usage":{"input_tokens":1,"output_tokens":"5"}}`,
    `{"data":[],"usage":{"output_tokens":5}}`,
    `{"data":[],"usage":{"input_tokens":1,"output_tokens":5,"input_tokens_details":{"image_tokens":4}}}`,
    `{"data":[],"usage":{"input_tokens":1,"output_tokens":5},"usage":{"input_tokens":1,"output_tokens":0}}`,
  ]) {
    const relay = play();
    relay.start();
    relay.data(text);
    relay.end();
    assert.deepEqual(await kindOf(relay), ["answered", "unknown", "complete"], text);
  }
});

test("the credential does not pass, cut in two and inside of a picture", async () => {
  for (const hidden of [SECRET, Buffer.from(`xy${SECRET}z`).toString("base64")]) {
    const whole = answer(`AAAA${hidden}`);
    const relay = play();
    relay.start();
    const middle = whole.indexOf(hidden) + 9;
    relay.data(whole.slice(0, middle));
    relay.data(whole.slice(middle));
    relay.end();
    assert.ok(!relay.heard.text.includes(hidden.slice(4, -4)));
    assert.equal((await kindOf(relay))[0], "answered");
  }
});

test("an error and an answer of another kind are told as of any other call", async () => {
  const broken = play();
  broken.start(500);
  broken.data(`{"error":{"message":"no"}}`);
  broken.end();
  assert.deepEqual(await kindOf(broken), ["passed_error", "nothing", 500]);
  const other = play();
  other.start(200, { "content-type": "image/png" });
  assert.deepEqual(await kindOf(other), ["failed", "upstream_failed", "unknown"]);
  assert.equal(other.heard.status, 0);
});
