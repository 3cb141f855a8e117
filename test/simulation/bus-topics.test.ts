/** Topics: what is published is handed out at least once, in order, over crashes; bounds, dedupe, dead letters, requests. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Requests } from "../../mesh/bus/requests.ts";
import { Topics, type Publication } from "../../mesh/bus/topics.ts";
import { openStore } from "../../mesh/store/open.ts";
import { unlabelled } from "../../protocol/label.ts";
import { limits } from "../../protocol/limits.ts";
import { countingIds, SimulatedClock, stateFolder } from "./world.ts";

type Test = Parameters<typeof stateFolder>[0];
const publication = (body: string, more: Partial<Publication> = {}): Publication => ({
  ...{ topic: "t", sender: "agent:p", session: "s", body, label: unlabelled },
  ...more,
});

async function open(path: string, clock: SimulatedClock, run = 0) {
  const store = await openStore({ path, mode: "inline" });
  const topics = new Topics(store, clock, countingIds(run));
  const requests = new Requests(store, clock, topics);
  const publish = async (body: string, more: Partial<Publication> = {}) => {
    const published = topics.publish(publication(body, more));
    assert.ok(published.ok);
    await store.commit(published.value.writes);
    published.value.done();
    return published.value;
  };
  const pull = async (subscriber: string, count = 10, topic = "t") => {
    const subscribed = topics.subscribe(topic, subscriber);
    assert.ok(subscribed.ok);
    const taken = topics.take(subscribed.value.subscription, count);
    assert.ok(taken.ok);
    await store.commit([...subscribed.value.writes, ...taken.value.writes]);
    return taken.value.messages;
  };
  const ack = async (subscriber: string, ids: readonly string[], reject?: string) => {
    const settled = topics.settle("t", subscriber, ids, reject);
    if (settled.ok) await store.commit(settled.value);
    return settled.ok;
  };
  const dead = (subscriber: string) => topics.deadLetters("t", subscriber, 0);
  return { store, topics, requests, publish, pull, ack, dead };
}
async function withTopics(
  t: Test,
  use: (bus: Awaited<ReturnType<typeof open>>, clock: SimulatedClock) => Promise<void>,
) {
  const clock = new SimulatedClock("2026-01-01T00:00Z");
  const bus = await open(stateFolder(t), clock);
  try {
    await use(bus, clock);
  } finally {
    await bus.store.close();
  }
}
const bodies = (messages: readonly { readonly body: string }[]): string[] => messages.map(({ body }) => body);

test("each subscription settles every message, in order of first delivery, whatever lapses, is acknowledged or restarts", async (t) => {
  const step = fc.oneof(
    fc.record({ do: fc.constant("publish" as const) }),
    fc.record({
      do: fc.constant("pull" as const),
      who: fc.constantFrom("a", "b"),
      count: fc.integer({ min: 1, max: 4 }),
    }),
    fc.record({ do: fc.constant("ack" as const), who: fc.constantFrom("a", "b"), pick: fc.nat(3) }),
    fc.record({ do: fc.constant("lapse" as const) }),
    fc.record({ do: fc.constant("restart" as const) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 50 }), async (steps) => {
      const path = stateFolder(t);
      const clock = new SimulatedClock("2026-01-01T00:00Z");
      let run = 0;
      let bus = await open(path, clock, run);
      const published: string[] = [];
      const held = { a: new Map<string, string>(), b: new Map<string, string>() };
      const first = { a: [] as string[], b: [] as string[] };
      const settled = { a: new Set<string>(), b: new Set<string>() };
      const take = async (who: "a" | "b", count: number): Promise<number> => {
        const messages = await bus.pull(who, count);
        for (const { id, body, attempt } of messages) {
          assert.ok(!settled[who].has(body), "what was settled never comes again");
          if (attempt === 1) first[who].push(body);
          held[who].set(id, body);
        }
        return messages.length;
      };
      const settle = async (who: "a" | "b", id: string): Promise<void> => {
        assert.equal(await bus.ack(who, [id]), true);
        settled[who].add(held[who].get(id) ?? "");
        held[who].delete(id);
        assert.equal(await bus.ack(who, [id]), false, "settled once");
      };
      try {
        for (const now of steps) {
          if (now.do === "publish") {
            published.push(`m${published.length}`);
            await bus.publish(published.at(-1) ?? "");
          } else if (now.do === "pull") await take(now.who, now.count);
          else if (now.do === "ack") {
            const id = [...held[now.who].keys()][now.pick];
            if (id !== undefined) await settle(now.who, id);
          } else if (now.do === "lapse") clock.pass(limits.topic.leaseMs);
          else {
            await bus.store.close();
            bus = await open(path, clock, ++run);
          }
        }
        for (const who of ["a", "b"] as const) {
          for (let rounds = 0; rounds < 60 && settled[who].size + bus.dead(who).length < published.length; rounds++) {
            clock.pass(limits.topic.leaseMs);
            await take(who, 10);
            for (const id of [...held[who].keys()])
              if (await bus.ack(who, [id])) settled[who].add(held[who].get(id) ?? "");
            held[who].clear();
          }
          // Every message has come, each the first time in the order of publication.
          assert.deepEqual(first[who], published);
          assert.equal(settled[who].size + bus.dead(who).length, published.length);
        }
      } finally {
        await bus.store.close();
      }
    }),
    { seed: 31, numRuns: 80 },
  );
});

test("the same key of the same sender is one message for the window, also over a restart; another sender's is its own", async (t) => {
  const path = stateFolder(t);
  const clock = new SimulatedClock("2026-01-01T00:00Z");
  let bus = await open(path, clock);
  const once = await bus.publish("1", { dedupeKey: "k" });
  // Before the first is on disk.
  const [racing, again] = [
    bus.topics.publish(publication("r", { dedupeKey: "r" })),
    bus.topics.publish(publication("r", { dedupeKey: "r" })),
  ];
  assert.ok(
    racing.ok && again.ok && !racing.value.duplicate && again.value.duplicate && racing.value.id === again.value.id,
  );
  const other = bus.topics.publish(publication("o", { dedupeKey: "r", sender: "agent:q" }));
  assert.ok(other.ok && !other.value.duplicate);
  await bus.store.commit([...racing.value.writes, ...other.value.writes]);
  await bus.store.close();
  bus = await open(path, clock, 1);
  const twice = await bus.publish("1", { dedupeKey: "k" });
  assert.deepEqual([twice.duplicate, twice.id, twice.position], [true, once.id, once.position]);
  assert.equal((await bus.publish("2", { dedupeKey: "k", sender: "agent:q" })).duplicate, false);
  clock.pass(limits.topic.dedupeMs);
  assert.equal((await bus.publish("3", { dedupeKey: "k" })).duplicate, false);
  assert.deepEqual(bodies(await bus.pull("a")), ["1", "r", "o", "2", "3"]);
  await bus.store.close();
});

test("hole: reusable names as identity — who leaves the fleet leaves no cursor, delivery or dead letter to the next of that name", async (t) => {
  const path = stateFolder(t);
  const clock = new SimulatedClock("2026-01-01T00:00Z");
  let bus = await open(path, clock);
  for (const body of ["1", "2", "3", "4", "5"]) await bus.publish(body);
  const taken = (await bus.pull("a", 4)).map(({ id }) => id);
  await bus.ack("a", [taken[0] ?? "", taken[2] ?? ""]);
  await bus.ack("a", [taken[3] ?? ""], "not mine");
  assert.equal(bus.dead("a").length, 1);
  await bus.store.commit(bus.topics.forget("a"));
  assert.deepEqual(bus.dead("a"), []);
  const pulled = async (count: number) => (await bus.pull("a", count)).map(({ body, attempt }) => [body, attempt]);
  assert.deepEqual(await pulled(1), [["1", 1]]);
  await bus.store.close();
  bus = await open(path, clock, 1);
  const others = ["2", "3", "4", "5"].map((body) => [body, 1]);
  assert.deepEqual(await pulled(10), [["1", 2], ...others]);
  await bus.store.close();
});

test("a subscriber that never comes blocks neither publishers nor others; what it lost is a dead letter", (t) =>
  withTopics(t, async (bus) => {
    await bus.pull("slow");
    const total = limits.topic.messagesMax + limits.topic.messagesTrimmedMin;
    for (let n = 0; n < total; n += 1_000) {
      const batch = Array.from({ length: 1_000 }, (_, k) => bus.topics.publish(publication(`${n + k}`)));
      await bus.store.commit(batch.flatMap((one) => (one.ok ? one.value.writes : assert.fail("refused"))));
      for (const one of batch) if (one.ok) one.value.done();
    }
    assert.equal((await bus.pull("fast", 1))[0]?.position, limits.topic.messagesTrimmedMin + 1);
    const [letter] = bus.dead("slow");
    assert.match(letter?.reason ?? "", /^overrun: positions 1 to 1000 were dropped/);
    assert.equal((await bus.pull("slow", 1))[0]?.body, "1000");
  }));

test("back-pressure: too many on their way to the disk, too many taken and not settled", (t) =>
  withTopics(t, async (bus) => {
    const many = Array.from({ length: limits.topic.messagesPendingMax + 1 }, (_, n) =>
      bus.topics.publish(publication(`${n}`)),
    );
    assert.deepEqual([many.filter(({ ok }) => !ok).length, many.at(-1)?.ok], [1, false]);
    for (const one of many) if (one.ok) await bus.store.commit(one.value.writes);
    for (let taken = 0; taken < limits.topic.leasedMessagesMax; taken += 50) await bus.pull("a", 50);
    const subscribed = bus.topics.subscribe("t", "a");
    assert.ok(subscribed.ok);
    assert.equal(bus.topics.take(subscribed.value.subscription, 1).ok, false);
    assert.equal((await bus.pull("b", 1)).length, 1);
  }));

test("what is taken at once fits an answer; the rest waits unleased for the next time, in order", (t) =>
  withTopics(t, async ({ topics, publish, pull, ack }, clock) => {
    // As JSON six bytes each.
    const body = "\u0001".repeat(limits.message.bodyBytesMax);
    const names = Array.from({ length: 5 }, (_, n) => `${n}${body}`);
    for (const each of names) await publish(each);
    const most = Math.floor(limits.tool.resultBytesMax / (6 * body.length));
    assert.ok(most >= 1 && most < names.length);
    const numbers = (messages: readonly { readonly body: string }[]): number[] =>
      messages.map((message) => Number(message.body[0]));
    const sizes: number[] = [];
    const seen: number[] = [];
    for (let turn = 0; turn < names.length && seen.length < names.length; turn++) {
      const messages = await pull("a", 50);
      sizes.push(Buffer.byteLength(JSON.stringify(messages)));
      seen.push(...numbers(messages));
      if (turn > 0)
        await ack(
          "a",
          messages.map(({ id }) => id),
        );
    }
    assert.deepEqual(seen, [0, 1, 2, 3, 4]);
    assert.ok(Math.max(...sizes) <= limits.tool.resultBytesMax, String(sizes));
    clock.pass(limits.topic.leaseMs);
    const again = await pull("a", 50);
    assert.deepEqual(numbers(again).slice(0, 1), [0], "what was not settled comes first");
    assert.deepEqual(numbers(topics.replay("t", 2, 50)), [1].slice(0, most));
    assert.deepEqual(numbers(topics.replay("t", 3, 50)), [2].slice(0, most));
  }));

test("one sender begins a part of the topics only, also over a restart, by publishing and by subscribing", (t) =>
  withTopics(t, async ({ store, topics }, clock) => {
    const most = limits.topic.topicsPerSenderMax;
    const begun = Array.from({ length: most }, (_, n) => topics.publish(publication("", { topic: `t/${n}` })));
    assert.ok(begun.every(({ ok }) => ok));
    await store.commit(begun.flatMap((each) => (each.ok ? each.value.writes : [])));
    for (const bus of [topics, new Topics(store, clock, countingIds(1))]) {
      const refused = [bus.publish(publication("", { topic: "more" })), bus.subscribe("more", "p")];
      for (const each of refused) assert.equal(each.ok ? undefined : each.error.code, "too_large");
      assert.ok(bus.publish(publication("", { topic: "t/0" })).ok);
      assert.ok(bus.subscribe("t/1", "p").ok);
      assert.ok(bus.publish(publication("", { topic: "more", sender: "agent:q" })).ok);
    }
  }));

test("dead letters say why: rejected, expired, handed out too often; a replay shows what is still there", (t) =>
  withTopics(t, async (bus, clock) => {
    await bus.publish("bad");
    await bus.publish("short", { ttlSeconds: 1 });
    await bus.publish("poison");
    const [bad] = await bus.pull("a", 1);
    assert.equal(await bus.ack("a", [bad?.id ?? ""], "not for me"), true);
    clock.pass(1_000);
    for (let n = 0; n < limits.topic.attemptsMax; n++) {
      assert.deepEqual(bodies(await bus.pull("a")), ["poison"]);
      clock.pass(limits.topic.leaseMs);
    }
    assert.deepEqual(await bus.pull("a"), []);
    assert.deepEqual(
      bus.dead("a").map(({ reason }) => reason),
      ["rejected: not for me", "expired", "handed out 5 times and never settled"],
    );
    assert.deepEqual(bodies(bus.topics.replay("t", 1, 10)), ["bad", "poison"]);
    assert.deepEqual(bodies(bus.topics.replay("t", 3, 10)), ["poison"]);
  }));

test("hole: forged task id closes another's task — nobody settles what another holds, or what he does not hold", (t) =>
  withTopics(t, async (bus) => {
    await bus.publish("1");
    await bus.publish("2");
    const [one] = await bus.pull("a", 1);
    await bus.pull("b", 1);
    const second = bus.topics.replay("t", 2, 1)[0]?.id ?? "";
    assert.equal(await bus.ack("stranger", [one?.id ?? ""]), false);
    assert.equal(await bus.ack("b", [second]), false, "not handed out yet");
    assert.equal(await bus.ack("b", [one?.id ?? "", second]), false, "all or none");
    assert.equal(await bus.ack("b", [one?.id ?? ""]), true);
    assert.equal(await bus.ack("a", [one?.id ?? ""]), true, "each settles its own");
  }));

test("request and reply: who took it answers once, in time, to who asked", (t) =>
  withTopics(t, async (bus, clock) => {
    const never = new AbortController().signal;
    const asked = await bus.publish("?", { replySeconds: 60 });
    const plain = await bus.publish("!");
    const reply = async (who: string, request: string) => {
      const made = bus.requests.reply({ topic: "t", request, body: `from ${who}`, label: unlabelled }, who);
      if (!made.ok) return made.error.code;
      await bus.store.commit(made.value.writes);
      made.value.done();
      return "ok";
    };
    assert.equal(await reply("a", asked.id), "not_found", "not taken yet");
    await bus.pull("a");
    await bus.pull("late");
    const waiting = bus.requests.replies({ request: asked.id, sender: "agent:p", after: 0, waitMs: 10_000 }, never);
    assert.deepEqual(
      [await reply("a", asked.id), await reply("a", asked.id), await reply("a", plain.id)],
      ["ok", "conflict", "not_found"],
    );
    const found = await waiting;
    assert.ok(found.ok);
    assert.deepEqual(
      found.value.map(({ responder, body }) => [responder, body]),
      [["a", "from a"]],
    );
    assert.equal(
      (await bus.requests.replies({ request: asked.id, sender: "agent:q", after: 0, waitMs: 0 }, never)).ok,
      false,
    );
    clock.pass(60_000);
    assert.equal(await reply("late", asked.id), "conflict");
  }));
