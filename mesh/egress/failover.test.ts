import assert from "node:assert/strict";
import { test } from "node:test";
import { refusal } from "../../protocol/refusal.ts";
import type { Outcome } from "./answer-relay.ts";
import { DeliveryGate, verdictOf } from "./failover.ts";
import { anthropicFormat } from "./wire/anthropic.ts";
import { openaiFormat } from "./wire/openai.ts";

const FRESH = { delivered: false, retryAfter: undefined };
const ending = { scrubbed: 0 } as const;
const error = (status: number): Outcome => ({ kind: "passed_error", status, billed: "nothing", ...ending });
const cut = (reason: string): Outcome => ({ kind: "cut", billed: "seen", reason, ...ending });
const failed = (billed: "nothing" | "seen" | "unknown"): Extract<Outcome, { kind: "failed" }> => ({
  kind: "failed",
  billed,
  refusal: refusal("upstream_failed", "gone", "wait"),
});

test("who is asked next, and what it says of the provider's health", () => {
  for (const [outcome, next, health] of [
    [{ kind: "answered", billed: "seen", reason: "complete", ...ending }, false, "good"],
    [{ kind: "aborted", billed: "seen", reason: "client_gone", ...ending }, false, "neutral"],
    ...[400, 404, 409, 413, 422, 451].map((status) => [error(status), false, "neutral"] as const),
    ...[402, 408, 425, 429, 500, 502, 503, 504, 529].map((status) => [error(status), true, "bad"] as const),
    [failed("nothing"), true, "bad"],
    [failed("unknown"), true, "bad"],
    // The credential was revoked while the call waited.
    [{ ...failed("nothing"), ours: true }, true, "neutral"],
    // The answer held the credential: nobody else is asked to do it better.
    [failed("seen"), false, "neutral"],
    [cut("upstream_broken"), true, "bad"],
    [cut("upstream_incomplete"), true, "bad"],
    [cut("timeout"), true, "bad"],
    ...["reservation_used_up", "credential_in_answer", "answer_too_large", "event_too_large"].map(
      (reason) => [cut(reason), false, "neutral"] as const,
    ),
  ] as const) {
    const verdict = verdictOf(outcome, FRESH, 0);
    assert.deepEqual([verdict.next, verdict.health.kind], [next, health], JSON.stringify(outcome));
    const late = verdictOf(outcome, { ...FRESH, delivered: true }, 0);
    const slow = outcome.kind === "cut" && outcome.reason === "timeout";
    assert.deepEqual(
      [late.next, late.health.kind],
      [false, slow ? "neutral" : health],
      "never after something was delivered, when a slow reader is no fault of the provider",
    );
  }
});

test("the provider's own time to come back is taken along", () => {
  const { health } = verdictOf(error(429), { ...FRESH, retryAfter: "7" }, 0);
  assert.deepEqual(health, { kind: "bad", reason: "status 429", retryAfterMs: 7_000 });
});

function gateOf(format = openaiFormat) {
  const heard: string[] = [];
  const gate = new DeliveryGate(
    {
      head: (status) => heard.push(`head ${status}`),
      write: (bytes) => {
        heard.push(bytes.toString());
        return heard.length < 4;
      },
      drained: () => heard.push("drained"),
    },
    format.meter(),
  );
  /** From memory that is used again at once. */
  const write = (text: string): boolean => {
    const memory = Buffer.from(text);
    const taken = gate.write(memory);
    memory.fill("#");
    return taken;
  };
  return { gate, write, meter: gate.meter, heard };
}

test("nothing is delivered before the first word, everything from there on", () => {
  const { gate, write, meter, heard } = gateOf();
  gate.head(200, { "content-type": "text/event-stream" });
  meter.passed();
  assert.equal(write(": hello\n\n"), true);
  meter.read({ choices: [{ index: 0, delta: { role: "assistant", content: "" } }] });
  meter.passed();
  write("[role]");
  assert.deepEqual([heard, gate.delivered], [[], false]);
  meter.read({ choices: [{ index: 0, delta: { content: "x" } }] });
  meter.passed();
  assert.equal(write("[x]"), false, "a slow reader is told of");
  assert.deepEqual(heard, ["head 200", ": hello\n\n", "[role]", "[x]"]);
  assert.equal(gate.delivered, true);
  write("[more]");
  gate.release();
  assert.deepEqual(heard.slice(4), ["[more]"]);
});

test("a stream that begins and then only tells of an overload can be taken back", () => {
  const { gate, write, meter, heard } = gateOf(anthropicFormat);
  gate.head(200, { "content-type": "text/event-stream" });
  for (const event of [
    { type: "message_start", message: { usage: { input_tokens: 3 } } },
    { type: "error", error: { type: "overloaded_error", message: "x" } },
  ]) {
    meter.read(event);
    meter.passed();
    write(event.type);
  }
  // What the relay writes when it cuts the stream.
  write(meter.ending("upstream_incomplete"));
  assert.deepEqual([heard, gate.delivered], [[], false]);
  assert.equal(verdictOf(cut("upstream_incomplete"), gate, 0).next, true);
  gate.release();
  assert.deepEqual(heard.slice(0, 3), ["head 200", "message_start", "error"], "and told if nobody else can answer");
});

test("an error and a whole answer wait for their verdict", () => {
  const { gate, write, heard } = gateOf();
  gate.head(429, { "retry-after": "3" });
  write("{}");
  assert.deepEqual([heard, gate.delivered, gate.retryAfter], [[], false, "3"]);
  gate.release();
  assert.deepEqual(heard, ["head 429", "{}"]);
});
