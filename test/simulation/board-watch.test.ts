/** Watches and append-only keys of the board, over crashes and restarts, against the list of what was acknowledged. */
import assert from "node:assert/strict";
import { createCipheriv, createDecipheriv } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { globMatches } from "../../lib/glob.ts";
import { Secret } from "../../lib/redact.ts";
import { Blackboard, type BoardOptions, type BoardWrite } from "../../mesh/blackboard/blackboard.ts";
import { SimulatedCrash } from "../../mesh/store/inline.ts";
import { openStore } from "../../mesh/store/open.ts";
import type { Store } from "../../mesh/store/store.ts";
import { cursorCipher } from "../../mesh/vault/cursor-cipher.ts";
import { unlabelled } from "../../protocol/label.ts";
import { limits } from "../../protocol/limits.ts";
import { SimulatedClock, stateFolder } from "./world.ts";

const never = new AbortController().signal;
const entry = (key: string, value: string | null, more: Partial<BoardWrite> = {}): BoardWrite => ({
  ...{ key, value, ifVersion: undefined, ttlSeconds: undefined, writer: "a", session: "s", label: unlabelled },
  ...more,
});
async function write(store: Store, board: Blackboard, change: BoardWrite): Promise<number | string> {
  const prepared = board.prepare(change);
  if (!prepared.ok) return prepared.error.code;
  await store.commit(prepared.value.writes);
  prepared.value.done();
  return prepared.value.version;
}
async function withBoard(
  t: Parameters<typeof stateFolder>[0],
  options: BoardOptions,
  use: (store: Store, board: Blackboard, clock: SimulatedClock) => Promise<void>,
): Promise<void> {
  const clock = new SimulatedClock("2026-01-01T00:00Z");
  const store = await openStore({ path: stateFolder(t), mode: "inline" });
  try {
    await use(store, new Blackboard(store, clock, options), clock);
  } finally {
    await store.close();
  }
}

test("a watch misses no version and invents none: writes, crashes at any point, restarts, acknowledgements at random", async (t) => {
  const clock = new SimulatedClock("2026-01-01T00:00Z");
  const step = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ do: fc.constant("write" as const), key: fc.constantFrom("a/x", "a/y", "b/x", "a/b/x") }),
    },
    { weight: 3, arbitrary: fc.record({ do: fc.constant("watch" as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("restart" as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("crash" as const), at: fc.integer({ min: 0, max: 6 }) }) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
      const path = stateFolder(t);
      let points = -1;
      const faults = (): void => {
        if (points >= 0 && points-- === 0) throw new SimulatedCrash();
      };
      const open = async () => {
        const store = await openStore({ path, mode: "inline", faults });
        return { store, board: new Blackboard(store, clock) };
      };
      let { store, board } = await open();
      const acknowledged = new Map<string, number>();
      const seen: string[] = [];
      const w = { watcher: "agent:w", match: "a/*" };
      const watch = async (): Promise<void> => {
        const resumed = board.watches.resume(w, seen.length === 0 ? "0" : undefined);
        assert.ok(resumed.ok);
        await store.commit(resumed.value.writes);
        resumed.value.done();
        const found = await board.watches.news({ ...w, waitMs: 0 }, resumed.value.place, () => true, never);
        seen.push(...found.changes.map(({ key, version }) => `${key}@${version}`));
        const moved = board.watches.resume(w, found.next);
        assert.ok(moved.ok);
        await store.commit(moved.value.writes);
        moved.value.done();
      };
      try {
        for (const now of steps) {
          if (now.do === "write") {
            const version = await write(store, board, entry(now.key, "v"));
            acknowledged.set(now.key, Number(version));
          } else if (now.do === "watch") await watch();
          else {
            if (now.do === "crash") {
              points = now.at;
              // In the middle of a write: it is there as a whole or not at all.
              await Promise.race([
                write(store, board, entry("a/x", "crash")).catch(() => {}),
                new Promise((end) => setImmediate(() => setImmediate(end))),
              ]);
              points = -1;
            }
            await store.close().catch(() => {});
            ({ store, board } = await open());
            acknowledged.set("a/x", store.query.board.current("default", "a/x")?.version ?? 0);
          }
        }
        await watch();
        const all = [...acknowledged]
          .filter(([key]) => globMatches("a/*", key))
          .flatMap(([key, last]) => Array.from({ length: last }, (_, n) => `${key}@${n + 1}`));
        assert.deepEqual(seen.toSorted(), all.toSorted());
        // Versions of a key come in their order.
        for (const key of ["a/x", "a/y"]) {
          const versions = seen.filter((text) => text.startsWith(`${key}@`)).map((text) => Number(text.split("@")[1]));
          assert.deepEqual(
            versions,
            versions.toSorted((a, b) => a - b),
          );
        }
      } finally {
        await store.close().catch(() => {});
      }
    }),
    { seed: 21, numRuns: 60 },
  );
});

test("a watch shows only rows that the reader may read, wakes on a write, and begins now", (t) =>
  withBoard(t, {}, async (store, board) => {
    await write(store, board, entry("a/old", "1"));
    const watch = { watcher: "agent:r", match: "**" };
    const resumed = board.watches.resume(watch, undefined);
    assert.ok(resumed.ok);
    const { place } = resumed.value;
    const visible = (key: string): boolean => key.startsWith("a/");
    const waiting = board.watches.news({ ...watch, waitMs: 60_000 }, place, visible, never);
    await write(store, board, entry("b/secret", "2"));
    await write(store, board, entry("a/new", "3"));
    await write(store, board, entry("a/new", null));
    let woken = false;
    void waiting.then(() => (woken = true));
    await new Promise((end) => setImmediate(() => setImmediate(end)));
    assert.ok(woken, "no time has passed, and it does not wait any more");
    const found = await waiting;
    assert.deepEqual(found.changes.map(({ key, version, deleted }) => [key, version, deleted]).slice(0, 1), [
      ["a/new", 1, false],
    ]);
    const all = await board.watches.news({ ...watch, waitMs: 0 }, place, visible, never);
    assert.deepEqual(
      all.changes.map(({ key, version, deleted }) => [key, version, deleted]),
      [
        ["a/new", 1, false],
        ["a/new", 2, true],
      ],
    );
    assert.equal(board.watches.resume(watch, String(Number(all.next) + 1)).ok, false);
    assert.equal(board.watches.resume(watch, "1.5").ok, false);
  }));

test("a reader has so many watches, and no more", (t) =>
  withBoard(t, {}, async (store, board) => {
    for (let n = 0; n < limits.board.watchesPerReaderMax; n++) {
      const resumed = board.watches.resume({ watcher: "agent:r", match: `k${n}` }, "0");
      assert.ok(resumed.ok);
      await store.commit(resumed.value.writes);
      resumed.value.done();
    }
    assert.equal(board.watches.resume({ watcher: "agent:r", match: "one-more" }, "0").ok, false);
    assert.equal(board.watches.resume({ watcher: "agent:other", match: "one-more" }, "0").ok, true);
  }));

test("hole: append-only keys overwritten by PUT — no verb changes one: write, compare-and-set, delete, expiry", (t) =>
  withBoard(t, { appendOnly: ["log/**"] }, async (store, board) => {
    assert.equal(await write(store, board, entry("log/1", "first")), 1);
    for (const more of [{}, { ifVersion: 1 }, { ifVersion: 0 }, { ttlSeconds: 1 }]) {
      assert.match(String(await write(store, board, entry("log/1", "second", more))), /denied|conflict/);
    }
    assert.equal(await write(store, board, entry("log/1", null)), "denied");
    const deletion = board.prepare(entry("log/1", null));
    assert.ok(!deletion.ok && deletion.error.reason.endsWith("cannot be deleted"));
    assert.equal(await write(store, board, entry("log/1", null, { ifVersion: 1 })), "denied");
    assert.equal(await write(store, board, entry("log/2", "x", { ttlSeconds: 5 })), "denied");
    // Two at the same moment, before either is on disk.
    const racing = [board.prepare(entry("log/3", "a")), board.prepare(entry("log/3", "b"))];
    assert.deepEqual(
      racing.map(({ ok }) => ok),
      [true, false],
    );
    assert.equal(board.read("log/1", undefined)?.value, "first");
    assert.equal(await write(store, board, entry("logs/1", "x")), 1);
    assert.equal(await write(store, board, entry("logs/1", "y")), 2);
  }));

test("hole: TTL-expired keys readable — not by get, list, history or an older version", (t) =>
  withBoard(t, {}, async (store, board, clock) => {
    await write(store, board, entry("k/1", "one", { ttlSeconds: 10 }));
    await write(store, board, entry("k/1", "two"));
    await write(store, board, entry("k/2", "gone", { ttlSeconds: 10 }));
    assert.deepEqual(
      board.history("k/1", undefined)?.map(({ version }) => version),
      [2, 1],
    );
    clock.pass(10_000);
    assert.equal(board.read("k/2", undefined), undefined);
    assert.equal(board.read("k/2", 1), undefined);
    assert.equal(board.history("k/2", undefined), undefined);
    assert.equal(board.read("k/1", 1), undefined);
    assert.deepEqual(
      board.history("k/1", undefined)?.map(({ version }) => version),
      [2],
    );
    assert.deepEqual(
      board.list("k/*", () => true).map(({ key }) => key),
      ["k/1"],
    );
  }));

test("hole: list by partial prefix bypasses the access rule — every row is asked for by its whole key", (t) =>
  withBoard(t, {}, async (store, board) => {
    for (const key of ["team/a", "team-secret/a", "teams", "team/a/b"]) await write(store, board, entry(key, "x"));
    const asked: string[] = [];
    const rows = board.list("team*/**", (key) => {
      asked.push(key);
      return globMatches("team/**", key);
    });
    assert.deepEqual(
      rows.map(({ key }) => key),
      ["team/a", "team/a/b"],
    );
    assert.deepEqual(asked.toSorted(), ["team-secret/a", "team/a", "team/a/b", "teams"]);
  }));

test("the history of a key is bounded, that of an append-only key is whole", (t) =>
  withBoard(t, {}, async (store, board) => {
    const writes = [];
    for (let n = 0; n < limits.board.versionsPerKeyMax + 5; n++) {
      const prepared = board.prepare(entry("k", `${n}`));
      assert.ok(prepared.ok);
      writes.push(...prepared.value.writes);
    }
    await store.commit(writes);
    assert.equal(board.read("k", 5), undefined);
    assert.equal(board.read("k", 6)?.value, "5");
    assert.deepEqual(
      board.history("k", 10)?.map(({ version }) => version),
      [9, 8, 7, 6],
    );
    // What is not shown is not kept for long, either; that it was written is still told to whoever watches.
    const extra = Array.from({ length: limits.board.versionsTrimmedMin }, () => board.prepare(entry("k", "more")));
    await store.commit(extra.flatMap((one) => (one.ok ? one.value.writes : [])));
    assert.equal(store.query.board.version("default", "k", 5), undefined);
    assert.equal(store.query.watches.changes("default", 0, 10).length, 10);
    assert.deepEqual(store.query.watches.changes("default", 4, 1)[0]?.writer, null);
  }));

test("a cipher seals each value for its place: nothing readable lies on the disk, and a moved value does not open", (t) => {
  const key = Buffer.alloc(32, 7);
  const place = (at: { key: string; version: number }): Buffer => Buffer.from(`${at.key}\n${at.version}`);
  const cipher = {
    seal: (value: string, at: { key: string; version: number }): string => {
      const box = createCipheriv("aes-256-gcm", key, Buffer.alloc(12, at.version)).setAAD(place(at));
      return Buffer.concat([box.update(value, "utf8"), box.final(), box.getAuthTag()]).toString("base64");
    },
    open: (sealed: string, at: { key: string; version: number }): string => {
      const bytes = Buffer.from(sealed, "base64");
      const box = createDecipheriv("aes-256-gcm", key, Buffer.alloc(12, at.version)).setAAD(place(at));
      box.setAuthTag(bytes.subarray(-16));
      return Buffer.concat([box.update(bytes.subarray(0, -16)), box.final()]).toString("utf8");
    },
  };
  return withBoard(t, { cipher }, async (store, board) => {
    await write(store, board, entry("k", "canary-value"));
    await write(store, board, entry("other", "something"));
    assert.equal(board.read("k", undefined)?.value, "canary-value");
    assert.equal(board.list("k", () => true)[0]?.value, "canary-value");
    const sealed = store.query.board.current("default", "k")?.value ?? "";
    assert.ok(!sealed.includes("canary"));
    await store.commit([
      ["board.insert", store.query.board.head("default", "other")?.id ?? 0, 2, sealed, "{}", "a", "s", 0, null, 0],
      ["board.setHead", store.query.board.head("default", "other")?.id ?? 0],
    ]);
    assert.throws(() => board.read("other", undefined));
  });
});

test("who watches is told of exactly the changes that match, after every restart, and is behind for what it may see", async (t) => {
  const path = stateFolder(t);
  const clock = new SimulatedClock("2026-01-01T00:00Z");
  const patterns = ["a/*", "a/**", "**", "*/x", "b/x", "b*/x"];
  const keys = ["a/x", "a/x/y", "b/x", "bc/x", "c"];
  const readable = (watcher: string, key: string): boolean => watcher !== "agent:b*/x" || key === "bc/x";
  for (let life = 0; life < 3; life++) {
    const store = await openStore({ path, mode: "inline" });
    const board = new Blackboard(store, clock);
    if (life === 0) {
      for (const match of patterns) {
        const resumed = board.watches.resume({ watcher: `agent:${match}`, match }, undefined);
        assert.ok(resumed.ok);
        await store.commit(resumed.value.writes);
        resumed.value.done();
      }
    }
    const told: string[] = [];
    board.watches.observe((watcher, key) => told.push(`${watcher} ${key}`));
    const before = board.watches.head();
    for (const key of keys) {
      await write(store, board, entry(key, String(life)));
      const expected = patterns.filter((match) => globMatches(match, key)).map((match) => `agent:${match} ${key}`);
      assert.deepEqual(told.splice(0).sort(), expected.sort());
    }
    const missed = patterns.filter((match) =>
      keys.some((key) => globMatches(match, key) && readable(`agent:${match}`, key)),
    );
    assert.deepEqual([...board.watches.behind(readable)].sort(), missed.map((match) => `agent:${match}`).sort());
    // Those who acknowledge all are no longer behind; the others still are after the restart.
    const acknowledged = board.watches.resume({ watcher: "agent:**", match: "**" }, String(board.watches.head()));
    assert.ok(acknowledged.ok);
    await store.commit(acknowledged.value.writes);
    acknowledged.value.done();
    assert.ok(!board.watches.behind(readable).has("agent:**"));
    assert.ok(board.watches.behind(() => true).has("agent:a/*"));
    assert.ok(!board.watches.behind(() => false).has("agent:a/*"));
    assert.equal(board.watches.head(), before + keys.length);
    await store.commit(board.watches.forget("agent:c"));
    await store.close();
  }
  const store = await openStore({ path, mode: "inline" });
  const board = new Blackboard(store, clock);
  const told: string[] = [];
  board.watches.observe((watcher) => told.push(watcher));
  await store.commit(board.watches.forget("agent:b/x"));
  await write(store, board, entry("b/x", "last"));
  assert.ok(told.length > 0 && !told.includes("agent:b/x") && !board.watches.behind(() => true).has("agent:b/x"));
  await store.close();
});

test("a write lets only those look whose pattern it fits, however many wait", async (t) =>
  withBoard(t, {}, async (store, _, clock) => {
    let looks = 0;
    const { watches } = store.query;
    const changes: typeof watches.changes = (...asked) => {
      looks++;
      return watches.changes(...asked);
    };
    const counted: Store = { ...store, query: { ...store.query, watches: { ...watches, changes } } };
    const board = new Blackboard(counted, clock);
    const stop = new AbortController();
    const waiting = ["a/x", "a/*", "b/**", "*/y", "c"].map(async (match) => {
      const found = await board.watches.changes(
        { reader: match, match, from: 0, waitMs: 60_000 },
        () => true,
        stop.signal,
      );
      return [match, found.changes.map(({ key }) => key)];
    });
    await new Promise((resolve) => setImmediate(resolve));
    const before = looks;
    for (const key of ["d/e", "e/f/g", "d/e"]) await write(store, board, entry(key, "1"));
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(looks, before);
    await write(store, board, entry("a/x", "1"));
    assert.deepEqual(await Promise.race(waiting), ["a/x", ["a/x"]]);
    assert.deepEqual(await waiting[1], ["a/*", ["a/x"]]);
    assert.equal(looks, before + 2);
    await write(store, board, entry("b/y", "1"));
    assert.deepEqual(await Promise.all(waiting.slice(2, 4)), [
      ["b/**", ["b/y"]],
      ["*/y", ["b/y"]],
    ]);
    stop.abort();
    assert.deepEqual(await waiting[4], ["c", []]);
  }));

test("a watcher learns nothing of changes that it may not see: neither their number, nor that there were any", async (t) => {
  const path = stateFolder(t);
  const clock = new SimulatedClock("2026-01-01T00:00Z");
  const cursors = cursorCipher({ lasting: new Secret(new Uint8Array(96).fill(7)) });
  const open = async () => {
    const store = await openStore({ path, mode: "inline" });
    return { store, board: new Blackboard(store, clock, { cursors }) };
  };
  let { store, board } = await open();
  const watch = { watcher: "agent:r", match: "**" };
  const other = { watcher: "agent:other", match: "**" };
  const visible = (key: string): boolean => key.startsWith("mine/");
  const ask = async (after: string | undefined, waitMs = 0) => {
    const resumed = board.watches.resume(watch, after);
    assert.ok(resumed.ok);
    await store.commit(resumed.value.writes);
    resumed.value.done();
    const { changes, next } = await board.watches.news({ ...watch, waitMs }, resumed.value.place, visible, never);
    return { next, text: JSON.stringify(changes), keys: changes.map(({ key }) => key) };
  };
  // More than a look at a turn passes over.
  const noise = async (): Promise<void> => {
    const made = Array.from({ length: 6_000 }, (_, n) => board.prepare(entry(`secret/${n % 50}`, "x")));
    await store.commit(made.flatMap((each) => (each.ok ? each.value.writes : [])));
    for (const each of made) if (each.ok) each.value.done();
  };
  const first = await ask(undefined);
  await noise();
  for (const after of [first.next, undefined, first.next]) assert.deepEqual(await ask(after), first);
  await store.close();
  ({ store, board } = await open());
  for (const after of [undefined, first.next]) assert.deepEqual(await ask(after), first);
  await noise();
  await write(store, board, entry("mine/a", "1"));
  const second = await ask(first.next);
  assert.deepEqual(second.keys, ["mine/a"]);
  assert.ok(!/\d{4}/.test(second.text) && second.next !== first.next && second.next.length === first.next.length);
  // Who waits is not woken by it, and who has passed over it does not look at it again, nor has to be told of it.
  const waiting = ask(second.next, 60_000);
  await noise();
  let over = false;
  void waiting.then(() => (over = true));
  for (let turn = 0; turn < 200; turn++) await new Promise((end) => setImmediate(end));
  assert.ok(!over);
  await write(store, board, entry("mine/b", "1"));
  const third = await waiting;
  assert.deepEqual(third.keys, ["mine/b"]);
  await noise();
  const { keys, next } = await ask(third.next);
  assert.deepEqual([keys, next], [[], third.next]);
  await ask(next);
  assert.deepEqual([...board.watches.behind(() => false)], []);
  // Again from an earlier place, and from no place of another's.
  assert.deepEqual((await ask(first.next)).keys, ["mine/a", "mine/b"]);
  for (const made of ["1", "12000", first.next.slice(1), cursors.seal(0, JSON.stringify(["agent:other", "**"]))])
    assert.equal(board.watches.resume(watch, made).ok, false);
  assert.equal(board.watches.resume(other, first.next).ok, false);
  await store.close();
});
