import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "./clock.ts";

test("sleep ends after its time and not before", async () => {
  const started = systemClock.monotonicMs();
  await systemClock.sleep(20);
  assert.ok(systemClock.monotonicMs() - started >= 18);
});

test("an aborted sleep rejects with the signal's reason, also when it was aborted before", async () => {
  const reason = new Error("enough");
  await assert.rejects(systemClock.sleep(60_000, AbortSignal.abort(reason)), reason);
  const stop = new AbortController();
  const sleep = systemClock.sleep(60_000, stop.signal);
  stop.abort(reason);
  await assert.rejects(sleep, reason);
});

test("a sleep that has ended leaves no listener behind", async () => {
  const { signal } = new AbortController();
  let listening = 0;
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = (...args: Parameters<typeof add>) => (listening++, add(...args));
  signal.removeEventListener = (...args: Parameters<typeof remove>) => (listening--, remove(...args));
  await systemClock.sleep(1, signal);
  assert.equal(listening, 0);
});

test("wall time is now", () => assert.ok(Math.abs(systemClock.nowMs() - Date.now()) < 1_000));
