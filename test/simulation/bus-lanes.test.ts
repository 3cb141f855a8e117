/** Lanes of agents and keys of publications against models that know nothing of leases, rows or restarts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Inboxes } from "../../mesh/bus/inboxes.ts";
import { Topics } from "../../mesh/bus/topics.ts";
import { openStore } from "../../mesh/store/open.ts";
import { unlabelled } from "../../protocol/label.ts";
import { limits } from "../../protocol/limits.ts";
import { countingIds, SimulatedClock, stateFolder } from "./world.ts";

const never = new AbortController().signal;
const lane = fc.constantFrom("a", "b", "c");

test("every lane is first in, first out, one at a time: posts in any order of commit, lapses, restarts", async (t) => {
  const step = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({ do: fc.constant("post" as const), lane, count: fc.integer({ min: 1, max: 3 }) }),
    },
    { weight: 4, arbitrary: fc.record({ do: fc.constant("next" as const), lane }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant("settle" as const), lane }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("lapse" as const), lane }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("restart" as const), lane }) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const path = stateFolder(t);
      const clock = new SimulatedClock("2026-01-01T00:00Z");
      let run = 0;
      let store = await openStore({ path, mode: "inline" });
      let inboxes = new Inboxes(store, clock, countingIds(run));
      const queued = new Map<string, string[]>();
      /** When what was handed out comes again. */
      const until = new Map<string, number>();
      const of = (name: string): string[] => queued.get(name) ?? [];
      try {
        for (const now of steps) {
          const name = now.lane;
          if (now.do === "post") {
            const post = {
              to: name,
              from: "agent:x",
              label: unlabelled,
              conversation: undefined,
              replyTo: null,
            } as const;
            // All are decided before any is on disk: their order is that of the decisions.
            const made = Array.from({ length: now.count }, (_, n) => inboxes.post({ ...post, body: `${n}` }));
            await Promise.all(made.map((one) => store.commit(one.ok ? one.value.writes : assert.fail("refused"))));
            for (const one of made) if (one.ok) one.value.done();
            queued.set(name, [...of(name), ...made.map((one) => (one.ok ? one.value.id : ""))]);
          } else if (now.do === "next") {
            const free = (until.get(name) ?? 0) <= clock.monotonicMs();
            const found = await inboxes.next(name, 0, never);
            assert.equal(found?.id, free ? of(name)[0] : undefined);
            if (found) until.set(name, clock.monotonicMs() + limits.message.leaseMs);
          } else if (now.do === "settle") {
            const [first] = of(name);
            if (first === undefined) continue;
            const settled = inboxes.settle(name, first);
            await store.commit(settled.writes);
            settled.done();
            assert.equal(inboxes.pending(name, first), undefined);
            queued.set(name, of(name).slice(1));
            until.delete(name);
          } else if (now.do === "lapse") clock.pass(limits.message.leaseMs);
          else {
            await store.close();
            store = await openStore({ path, mode: "inline" });
            inboxes = new Inboxes(store, clock, countingIds(++run));
            until.clear();
          }
          for (const each of ["a", "b", "c"]) assert.equal(inboxes.depth(each), of(each).length);
        }
      } finally {
        await store.close();
      }
    }),
    { seed: 41, numRuns: 80 },
  );
});

test("a key of a sender is one message for the window and a new one after it, over restarts and clean-ups", async (t) => {
  const step = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constant("publish" as const),
        topic: fc.constantFrom("t", "u"),
        sender: fc.constantFrom("agent:p", "agent:q"),
        key: fc.constantFrom("k", "l", '","'),
        races: fc.boolean(),
      }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("pass" as const), share: fc.constantFrom(0.3, 0.7, 1) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("restart" as const) }) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const path = stateFolder(t);
      const clock = new SimulatedClock("2026-01-01T00:00Z");
      let run = 0;
      let store = await openStore({ path, mode: "inline" });
      let topics = new Topics(store, clock, countingIds(run));
      const windows = new Map<string, { readonly id: string; readonly untilMs: number }>();
      const logs: Record<string, number> = { t: 0, u: 0 };
      try {
        for (const now of steps) {
          if (now.do === "pass") clock.pass(Math.floor(limits.topic.dedupeMs * now.share));
          else if (now.do === "restart") {
            await store.close();
            store = await openStore({ path, mode: "inline" });
            topics = new Topics(store, clock, countingIds(++run));
          } else {
            const name = `${now.topic} ${now.sender} ${now.key}`;
            const open = windows.get(name);
            const earlier = open && clock.nowMs() < open.untilMs ? open : undefined;
            const made = topics.publish({
              ...{ topic: now.topic, sender: now.sender, session: "s", body: "b", label: unlabelled },
              dedupeKey: now.key,
            });
            assert.ok(made.ok);
            assert.equal(made.value.duplicate, earlier !== undefined);
            // Another before the first is on disk: by the same sender it is the same, by another one its own.
            const sender = now.races ? "agent:r" : now.sender;
            const racing = topics.publish({
              ...{ topic: now.topic, sender, session: "s", body: "b", label: unlabelled, dedupeKey: now.key },
            });
            assert.ok(racing.ok);
            const other = windows.get(`${now.topic} ${sender} ${now.key}`);
            const known = now.races ? other !== undefined && clock.nowMs() < other.untilMs : true;
            assert.equal(racing.value.duplicate, known);
            if (!now.races) assert.equal(racing.value.id, made.value.id);
            await store.commit([...made.value.writes, ...racing.value.writes]);
            racing.value.done();
            made.value.done();
            if (earlier) assert.equal(made.value.id, earlier.id);
            else {
              windows.set(name, { id: made.value.id, untilMs: clock.nowMs() + limits.topic.dedupeMs });
              assert.equal(made.value.position, (logs[now.topic] = (logs[now.topic] ?? 0) + 1));
            }
            if (known) continue;
            windows.set(`${now.topic} ${sender} ${now.key}`, {
              id: racing.value.id,
              untilMs: clock.nowMs() + limits.topic.dedupeMs,
            });
            logs[now.topic] = (logs[now.topic] ?? 0) + 1;
          }
        }
        for (const [topic, length] of Object.entries(logs)) assert.equal(topics.replay(topic, 1, 100).length, length);
      } finally {
        await store.close();
      }
    }),
    { seed: 42, numRuns: 80 },
  );
});
