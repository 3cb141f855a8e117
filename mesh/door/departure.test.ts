import assert from "node:assert/strict";
import { test } from "node:test";
import { Departure } from "./departure.ts";

test("who listens is told once, and who has stopped listening is not", () => {
  const gone = new Departure();
  const told: string[] = [];
  const telling = (what: string) => ({ handleEvent: (): void => void told.push(what) });
  const stopped = telling("stopped");
  gone.addEventListener("abort", telling("first"));
  gone.addEventListener("abort", stopped);
  gone.removeEventListener("abort", stopped);
  gone.removeEventListener("abort", stopped);
  assert.deepEqual([gone.aborted, told], [false, []]);
  gone.leave();
  gone.leave();
  assert.deepEqual([gone.aborted, told], [true, ["first"]]);
});

test("a real signal follows it, whether it was asked for before or after", () => {
  const gone = new Departure();
  const before = gone.signal;
  assert.equal(before.aborted, false);
  gone.leave();
  assert.deepEqual([before.aborted, before.reason, gone.signal === before], [true, "gone", true]);
  const late = new Departure();
  late.leave();
  assert.equal(late.signal.aborted, true);
});
