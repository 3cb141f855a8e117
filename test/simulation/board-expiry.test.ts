/** Time to live on every way to read: the board by key, version, list, history and comparison; topics by pull and replay. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Blackboard, type BoardWrite } from "../../mesh/blackboard/blackboard.ts";
import { Topics } from "../../mesh/bus/topics.ts";
import { openStore } from "../../mesh/store/open.ts";
import { unlabelled } from "../../protocol/label.ts";
import { countingIds, SimulatedClock, stateFolder } from "./world.ts";

const ttl = fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined });
const pass = fc.record({ do: fc.constant("pass" as const), ms: fc.constantFrom(1, 999, 1_000, 2_500) });
const restart = fc.record({ do: fc.constant("restart" as const) });

test("no read of the board shows what has expired, and each shows all that has not", async (t) => {
  const step = fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        do: fc.constant("write" as const),
        key: fc.constantFrom("k/a", "k/b"),
        ttl,
        deletes: fc.boolean(),
      }),
    },
    { weight: 4, arbitrary: pass },
    { weight: 1, arbitrary: restart },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      const path = stateFolder(t);
      const clock = new SimulatedClock("2026-01-01T00:00Z");
      let store = await openStore({ path, mode: "inline" });
      let board = new Blackboard(store, clock);
      /** Every version of each key; `untilMs` Infinity = for good. */
      const written = new Map<string, { readonly value: string | null; readonly untilMs: number }[]>();
      const lives = (row: { value: string | null; untilMs: number } | undefined): boolean =>
        row !== undefined && row.value !== null && clock.nowMs() < row.untilMs;
      const check = (key: string): void => {
        const rows = written.get(key) ?? [];
        const current = rows.at(-1);
        const there = lives(current);
        assert.equal(board.read(key, undefined)?.value, there ? current?.value : undefined);
        for (const [at, row] of rows.entries())
          assert.equal(board.read(key, at + 1)?.value, there && lives(row) ? row.value : undefined);
        const shown = rows.flatMap((row, at) => (clock.nowMs() < row.untilMs ? [at + 1] : [])).reverse();
        assert.deepEqual(
          board.history(key, undefined)?.map(({ version }) => version),
          there ? shown : undefined,
        );
        assert.deepEqual(
          board.list("k/*", (each) => each === key).map(({ value }) => value),
          there ? [current?.value] : [],
        );
        // Whoever compares learns no more than whoever reads.
        const refused = board.prepare(entry(key, "x", { ifVersion: there ? 0 : rows.length + 7 }));
        assert.ok(!refused.ok && refused.error.reason.includes(`at version ${there ? rows.length : 0},`));
        if (!there) assert.equal(board.prepare(entry(key, null)).ok, false);
      };
      try {
        for (const now of steps) {
          if (now.do === "pass") clock.pass(now.ms);
          else if (now.do === "restart") {
            await store.close();
            store = await openStore({ path, mode: "inline" });
            board = new Blackboard(store, clock);
          } else {
            const rows = written.get(now.key) ?? [];
            const value = now.deletes && lives(rows.at(-1)) ? null : `v${rows.length}`;
            const ttlSeconds = value === null ? undefined : now.ttl;
            const made = board.prepare(entry(now.key, value, { ttlSeconds }));
            assert.ok(made.ok);
            await store.commit(made.value.writes);
            made.value.done();
            const untilMs = ttlSeconds === undefined ? Infinity : clock.nowMs() + ttlSeconds * 1_000;
            written.set(now.key, [...rows, { value, untilMs }]);
          }
          for (const key of written.keys()) check(key);
        }
      } finally {
        await store.close();
      }
    }),
    { seed: 43, numRuns: 80 },
  );
});

test("no message of a topic is handed out or replayed after its time", async (t) => {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ do: fc.constant("publish" as const), ttl }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("pull" as const), count: fc.integer({ min: 1, max: 4 }) }) },
    { weight: 3, arbitrary: pass },
    { weight: 1, arbitrary: restart },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      const path = stateFolder(t);
      const clock = new SimulatedClock("2026-01-01T00:00Z");
      let run = 0;
      let store = await openStore({ path, mode: "inline" });
      let topics = new Topics(store, clock, countingIds(run));
      const untilMs: number[] = [];
      const lives = (position: number): boolean => clock.nowMs() < (untilMs[position - 1] ?? 0);
      try {
        for (const now of steps) {
          if (now.do === "pass") clock.pass(now.ms);
          else if (now.do === "restart") {
            await store.close();
            store = await openStore({ path, mode: "inline" });
            topics = new Topics(store, clock, countingIds(++run));
          } else if (now.do === "publish") {
            const message = { topic: "t", sender: "agent:p", session: "s", body: "b", label: unlabelled };
            const made = topics.publish({ ...message, ttlSeconds: now.ttl });
            assert.ok(made.ok);
            await store.commit(made.value.writes);
            made.value.done();
            untilMs.push(now.ttl === undefined ? Infinity : clock.nowMs() + now.ttl * 1_000);
          } else {
            const subscribed = topics.subscribe("t", "a");
            assert.ok(subscribed.ok);
            const taken = topics.take(subscribed.value.subscription, now.count);
            assert.ok(taken.ok);
            await store.commit([...subscribed.value.writes, ...taken.value.writes]);
            for (const { position } of taken.value.messages) assert.ok(lives(position));
          }
          assert.deepEqual(
            topics.replay("t", 1, 100).map(({ position }) => position),
            untilMs.map((_, at) => at + 1).filter(lives),
          );
        }
      } finally {
        await store.close();
      }
    }),
    { seed: 44, numRuns: 80 },
  );
});

const entry = (key: string, value: string | null, more: Partial<BoardWrite> = {}): BoardWrite => ({
  ...{ key, value, ifVersion: undefined, ttlSeconds: undefined, writer: "a", session: "s", label: unlabelled },
  ...more,
});
