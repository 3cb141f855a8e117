import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../../lib/clock.ts";
import { Pinning, type Resolver } from "./resolver.ts";

const always = (): boolean => true;
const host = { host: "a.test", port: 443, literal: false };
const saying = (...answers: readonly (readonly string[])[]): Resolver & { asked: number } => ({
  asked: 0,
  resolve() {
    return Promise.resolve(answers[Math.min(this.asked++, answers.length - 1)] ?? []);
  },
});

test("public addresses are pinned; one that is not public refuses them all, with its class and the rule that would name it", async () => {
  assert.deepEqual(await new Pinning(saying(["1.1.1.1", "2606:4700::1111"]), systemClock).pin(host, null, always), {
    ok: true,
    value: ["1.1.1.1", "2606:4700::1111"],
  });
  for (const [address, what] of [
    ["127.0.0.1", /loopback/],
    ["169.254.169.254", /metadata/],
    ["10.0.0.1", /private/],
    ["::ffff:10.0.0.1", /v4-mapped/],
    ["64:ff9b::a00:1", /NAT64/],
    ["nonsense", /not an address/],
  ] as const) {
    const pinned = await new Pinning(saying(["1.1.1.1", address]), systemClock).pin(host, null, always);
    assert.ok(
      !pinned.ok && what.test(pinned.error.reason) && pinned.error.remedy.includes(`address: ${address}`),
      address,
    );
  }
});

test("a literal that is not public is refused; the address that a rule names is dialled unasked", async () => {
  const resolver = saying(["1.1.1.1"]);
  const pinning = new Pinning(resolver, systemClock);
  assert.ok(!(await pinning.pin({ host: "127.0.0.1", port: 80, literal: true }, null, always)).ok);
  assert.deepEqual(await pinning.pin({ host: "8.8.8.8", port: 80, literal: true }, null, always), {
    ok: true,
    value: ["8.8.8.8"],
  });
  assert.deepEqual(await pinning.pin(host, "10.0.0.7", always), { ok: true, value: ["10.0.0.7"] });
  assert.equal(resolver.asked, 0);
});

test("an answer is used again for its time, then asked anew and checked anew", async () => {
  let nowMs = 0;
  const clock = { ...systemClock, monotonicMs: () => nowMs };
  const resolver = saying(["1.1.1.1"], ["127.0.0.1"]);
  const pinning = new Pinning(resolver, clock);
  assert.ok((await pinning.pin(host, null, always)).ok);
  assert.ok((await pinning.pin(host, null, always)).ok);
  assert.equal(resolver.asked, 1);
  nowMs += 30_001;
  assert.ok(!(await pinning.pin(host, null, always)).ok);
});

test("no answer, an error and a resolver that never answers are refusals", async () => {
  const never = { resolve: () => new Promise<never>(() => {}) };
  const failing = { resolve: () => Promise.reject(new Error("ENOTFOUND")) };
  const clock = { ...systemClock, sleep: () => Promise.resolve() };
  for (const resolver of [saying([]), failing, never]) {
    const pinned = await new Pinning(resolver, clock).pin(host, null, always);
    assert.ok(!pinned.ok && pinned.error.code === "upstream_failed");
  }
});

test("a sandbox that has asked for too many names is refused new ones, and goes on with those that are known", async () => {
  const resolver = saying(["1.1.1.1"]);
  const pinning = new Pinning(resolver, systemClock);
  let left = 2;
  const mayAsk = (): boolean => left-- > 0;
  for (const name of ["secret-one", "secret-two"])
    assert.ok((await pinning.pin({ ...host, host: `${name}.test` }, null, mayAsk)).ok);
  const refused = await pinning.pin({ ...host, host: "secret-three.test" }, null, mayAsk);
  assert.ok(!refused.ok && refused.error.code === "rate_limited");
  assert.ok((await pinning.pin({ ...host, host: "secret-one.test" }, null, mayAsk)).ok);
  assert.ok((await pinning.pin({ ...host, host: "8.8.8.8", literal: true }, null, mayAsk)).ok);
  assert.equal(resolver.asked, 2);
});

test("names that are slow to resolve hold few of the machine's threads, and nobody who has stopped waiting is asked for", async () => {
  const begun: string[] = [];
  const answers = new Map<string, (addresses: readonly string[]) => void>();
  const late: (() => void)[] = [];
  const clock = { ...systemClock, sleep: () => new Promise<void>((resolve) => late.push(resolve)) };
  const resolver: Resolver = {
    resolve: (name) => {
      begun.push(name);
      return new Promise((resolve) => answers.set(name, resolve));
    },
  };
  const pinning = new Pinning(resolver, clock);
  const names = Array.from({ length: 50 }, (_, at) => `n${at}.test`);
  const pinned = names.map((name) => pinning.pin({ host: name, port: 443, literal: false }, null, always));
  assert.deepEqual(begun, ["n0.test", "n1.test"]);
  for (const expire of late) expire();
  for (const each of pinned) assert.ok(!(await each).ok);
  const after = pinning.pin({ host: "after.test", port: 443, literal: false }, null, always);
  answers.get("n0.test")?.([]);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(begun, ["n0.test", "n1.test", "after.test"], "the others have gone");
  answers.get("after.test")?.(["1.1.1.1"]);
  assert.deepEqual(await after, { ok: true, value: ["1.1.1.1"] });
});
