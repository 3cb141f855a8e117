import assert from "node:assert/strict";
import { test } from "node:test";
import { DONE, event, FINISH, kindOf, plain, say, SECRET, streaming, USAGE } from "./testing/relay.ts";

/** Characters of the credential that stand in what an agent would put together. */
function shown(text: string): string {
  return [...text.matchAll(/"content":"([^"]*)"/g)].map(([, content]) => content).join("");
}

test("headers that reflect the credential come out without it; others do not come out at all", async () => {
  const play = streaming();
  play.start(200, {
    "x-request-id": `${Buffer.from(SECRET).toString("hex")}\u0007`,
    "x-api-key": SECRET,
    "set-cookie": "a=b",
    server: "x",
  });
  assert.deepEqual(play.heard.headers, { "content-type": "text/event-stream", "x-request-id": "[gone]?" });
});

test("a header that is named in a refusal names no credential", async () => {
  for (const headers of [{ "content-type": SECRET }, { "content-encoding": SECRET }]) {
    const play = plain();
    play.start(200, headers);
    const outcome = await play.ended();
    assert.ok(outcome?.kind === "failed" && outcome.refusal.reason.includes("[gone]"), JSON.stringify(outcome));
    assert.ok(!JSON.stringify(outcome).includes(SECRET.slice(0, 8)), JSON.stringify(outcome));
  }
});

test("a body in a coding of the transfer is not passed on, since nothing can be found in it", async () => {
  for (const [coding, ended] of [
    ["gzip, chunked", "failed"],
    ["identity", "failed"],
    ["chunked", undefined],
    [" Chunked ", undefined],
    [undefined, undefined],
  ] as const) {
    const play = streaming();
    play.start(200, coding === undefined ? {} : { "transfer-encoding": coding });
    assert.equal((await play.ended())?.kind, ended, coding ?? "none");
    assert.equal(play.heard.status, ended ? 0 : 200);
  }
});

test("a credential inside of one event is replaced in its bytes, when it is not in the text", async () => {
  const play = streaming();
  play.start();
  play.data(event({ system_fingerprint: SECRET, choices: [{ index: 0, delta: { content: "a" } }] }));
  play.data(FINISH + USAGE + DONE);
  play.end();
  assert.ok(!play.heard.text.includes(SECRET) && play.heard.text.includes("[gone]"));
  const outcome = await play.ended();
  assert.ok(outcome?.kind === "answered" && outcome.scrubbed === 1);
});

test("a credential that is split over deltas is cut before more than seven characters have passed", async () => {
  for (const size of [1, 2, 3, 5, 7, 8, 11, SECRET.length]) {
    for (const between of [
      "",
      ": ping\n\n",
      event({ choices: [] }),
      event({ choices: [{ index: 1, delta: { content: "x" } }] }),
      event({ choices: [{ index: 0, delta: { reasoning_content: "y" } }] }),
    ]) {
      const play = streaming();
      play.start();
      play.data(say("the key is "));
      for (let at = 0; at < SECRET.length; at += size) {
        play.data(say(SECRET.slice(at, at + size)));
        if (between) play.data(between);
      }
      const text = shown(play.heard.text.replaceAll(between || "\0", ""));
      let common = 0;
      while (common < SECRET.length && text.includes(SECRET.slice(0, common + 1))) common++;
      assert.ok(common < 8, `${size} ${between}: ${common} characters passed`);
      assert.deepEqual(await kindOf(play), ["cut", "seen", "credential_in_answer"]);
      assert.ok(play.heard.text.endsWith(DONE));
    }
  }
});

test("text that only begins like the credential is held for a while, then passes complete", async () => {
  const play = streaming();
  play.start();
  const parts = [SECRET.slice(0, 9), SECRET.slice(9, 12), "!", "after"].map(say);
  play.data(parts[0]!);
  play.data(parts[1]!);
  assert.equal(play.heard.text, "");
  play.data(parts[2]!);
  assert.equal(play.heard.text, parts.slice(0, 3).join(""));
  play.data(parts[3]! + FINISH + USAGE + DONE);
  play.end();
  assert.equal(play.heard.text, parts.join("") + FINISH + USAGE + DONE);
});

test("a plain answer that holds the credential in its text, escaped as it may be, is not passed", async () => {
  for (const escaped of [SECRET, SECRET.replace("live", "\\u006cive")]) {
    const play = plain();
    play.start();
    play.data(`{"choices":[{"index":0,"message":{"content":"it is ${escaped}"},"finish_reason":"stop"}]}`);
    play.end();
    assert.deepEqual(await kindOf(play), ["failed", "upstream_failed", "seen"]);
    assert.equal(play.heard.text, "");
  }
});
