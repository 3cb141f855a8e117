import assert from "node:assert/strict";
import { test } from "node:test";
import { createSecureContext } from "node:tls";
import { inspect } from "node:util";
import { systemClock } from "../../../lib/clock.ts";
import { AnswerReader } from "../../http/answer-reader.ts";
import { Deadlines } from "../../http/deadlines.ts";
import { compileScrubber } from "../automaton.ts";
import { WebAnswer, type Answered } from "./answer.ts";
import { Upstreams } from "./upstreams.ts";

test("a connection is used again only for the place and the addresses for which it was made", async () => {
  const deadlines = new Deadlines(systemClock);
  const upstreams = new Upstreams(createSecureContext(), systemClock, deadlines);
  const place = { scheme: "http", host: "a.test", port: 80, addresses: ["192.0.2.1", "192.0.2.2"] } as const;
  const first = upstreams.to(place, place.addresses);
  assert.equal(upstreams.to(place, [...place.addresses]), first);
  const others = [
    { ...place, addresses: ["192.0.2.1", "192.0.2.3"] },
    { ...place, addresses: ["192.0.2.1"] },
    { ...place, addresses: ["192.0.2.2", "192.0.2.1"] },
    { ...place, host: "b.test" },
    { ...place, port: 81 },
    { ...place, scheme: "https" as const },
  ];
  // Each after the first, and each after the one before it.
  const made = others.map((other) => {
    assert.equal(upstreams.to(place, place.addresses), first);
    return upstreams.to(other, other.addresses);
  });
  assert.equal(new Set([first, ...made]).size, others.length + 1);
  assert.deepEqual(
    others.map((other) => made.indexOf(upstreams.to(other, other.addresses))),
    [...made.keys()],
  );
  await upstreams.close();
  assert.notEqual(upstreams.to(place, place.addresses), first);
  await upstreams.close();
  deadlines.close();
});

test("of a head that holds a credential nothing is kept", async () => {
  const deadlines = new Deadlines(systemClock);
  const upstreams = new Upstreams(createSecureContext(), systemClock, deadlines);
  const place = upstreams.to({ scheme: "http", host: "a.test", port: 80 }, ["192.0.2.1"]);
  const secret = "a-secret-that-a-server-says-again";
  const read = (value: string): void => {
    const answer = new AnswerReader({ head() {}, data() {}, end() {} }, place.asked);
    assert.equal(answer.push(Buffer.from(`HTTP/1.1 204 No Content\r\nx-a: ${value}\r\n\r\n`)), undefined);
  };
  read("b");
  assert.ok(inspect(place.asked, { depth: null }).includes("x-a: b"));
  read(secret);
  const owner = { front: { answer() {}, head: { method: "GET" } }, objection() {}, host: "a.test" };
  const automata = [compileScrubber([Buffer.from(secret)], "[removed]")];
  const answer = new WebAnswer(owner as unknown as Answered, automata, place);
  answer.onResponseStart(undefined as never, 204, place.asked.known?.head?.fields ?? {});
  assert.ok(!inspect([place.asked, place.passed], { depth: null }).includes(secret));
  await upstreams.close();
  deadlines.close();
});
