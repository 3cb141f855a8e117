import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { connect } from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import { systemClock } from "../../../lib/clock.ts";
import { randomId } from "../../../lib/id.ts";
import { CANARY_PREFIX, CanarySearch, newCanary } from "./canary.ts";
import { readClaims } from "./claims.ts";
import { openHoneypots, type Target } from "./honeypots.ts";

const settled = { seed: 20261122, numRuns: 200 };

test("a honeypot hears our own knock and does not count it, and counts every other", async (t) => {
  const pots = await openHoneypots(["127.0.0.1", "::1", "192.0.2.1"], randomId.next("knock"), systemClock);
  t.after(pots.close);
  const first = await pots.findings();
  const at = (address: string) => first.filter((one) => one.address === address);
  assert.deepEqual(
    at("127.0.0.1").map((one) => [one.kind, one.awake, one.hits]),
    [
      ["tcp", true, 0],
      ["udp", true, 0],
    ],
  );
  // An address that is not the host's cannot be heard: the test of being awake can fail.
  assert.deepEqual(
    at("192.0.2.1").map((one) => one.awake),
    [false, false],
  );
  await visitTcp(pots.targets.tcp[0]);
  await visitUdp(pots.targets.udp[0]);
  const second = await pots.findings();
  assert.deepEqual(
    second.filter((one) => one.address === "127.0.0.1").map((one) => one.hits),
    [1, 1],
  );
});

test("a connection that says nothing is a visit, too", async (t) => {
  const pots = await openHoneypots(["127.0.0.1"], "word", systemClock);
  t.after(pots.close);
  const target = pots.targets.tcp[0];
  const silent = connect(target?.port ?? 0, target?.host);
  await new Promise((done) => silent.once("connect", done));
  assert.equal((await pots.findings())[0]?.hits, 1);
  silent.destroy();
});

test("canaries are new each time and of the announced form", () => {
  const value = newCanary(randomId);
  assert.match(value, /^cordon-canary-[0-9a-f]{32}$/);
  assert.notEqual(value, newCanary(randomId));
});

test("a leaked canary is found in every form and at every place in a text", () => {
  const value = newCanary(randomId);
  const secret = value.slice(CANARY_PREFIX.length);
  const leaks: readonly ((around: string) => string)[] = [
    (around) => around + value + around,
    (around) => around + secret.toUpperCase() + around,
    (around) => Buffer.from(around + value + around).toString("base64"),
    (around) => Buffer.from(around + secret + around).toString("base64url"),
    (around) => Buffer.from(around + value).toString("hex"),
    (around) => around + [...value].reverse().join(""),
  ];
  fc.assert(
    fc.property(fc.string({ maxLength: 9 }), fc.nat(leaks.length - 1), (around, which) => {
      const search = new CanarySearch([value]);
      search.look("here", leaks[which]?.(around) ?? "");
      assert.deepEqual(search.foundIn, ["here"]);
    }),
    settled,
  );
});

test("the public prefix and another canary are no finding", () => {
  const search = new CanarySearch([newCanary(randomId)]);
  search.look("here", `${CANARY_PREFIX} ${newCanary(randomId)} ${"0123456789abcdef".repeat(20)}`);
  assert.deepEqual(search.foundIn, []);
});

test("the log of the intern is read strictly: anything but `false` is a claim of escape, and cannot be taken back", () => {
  const line = (value: object): string => JSON.stringify(value);
  const { claims, done } = readClaims([
    "noise",
    "{not json",
    "[1]",
    line({ at: 1, event: "started" }),
    `2026 ${line({ attempt: "a", title: "first", threat: "t", escaped: false, evidence: "EPERM" })}`,
    line({ attempt: "b", title: "no word" }),
    line({ attempt: "c", escaped: true }),
    line({ attempt: "c", escaped: false }),
    line({ attempt: "a", title: "changed", escaped: false }),
  ]);
  assert.equal(done, false);
  assert.deepEqual(
    claims.map((one) => [one.id, one.title, one.escaped]),
    [
      ["a", "first", false],
      ["b", "no word", true],
      ["c", "c", true],
    ],
  );
  assert.equal(readClaims([line({ attempt: "done" })]).done, true);
});

test("a flood of claims is bounded", () => {
  const lines = Array.from({ length: 1_000 }, (_, i) =>
    JSON.stringify({ attempt: `a${i}`, title: "x".repeat(9_999), escaped: false }),
  );
  const { claims } = readClaims(lines);
  assert.equal(claims.length, 64);
  assert.ok(claims.every((one) => one.title.length <= 400));
});

const visitTcp = (target: Target | undefined): Promise<unknown> =>
  new Promise((done) => {
    const socket = connect(target?.port ?? 0, target?.host ?? "", () => socket.end("hello"));
    socket.once("close", done);
  });

const visitUdp = (target: Target | undefined): Promise<unknown> =>
  new Promise((done) => {
    const socket = createSocket("udp4");
    socket.send("hello", target?.port ?? 0, target?.host, () => socket.close(() => done(undefined)));
  });
