import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import fc from "fast-check";
import { systemClock } from "../../lib/clock.ts";
import { unlabelled } from "../../protocol/label.ts";
import { limits } from "../../protocol/limits.ts";
import { openStore } from "../store/open.ts";
import type { Store } from "../store/store.ts";
import { Blackboard, type BoardWrite } from "./blackboard.ts";

const root = mkdtempSync(join(tmpdir(), "cordon-board-"));
after(() => rmSync(root, { recursive: true }));

interface Opened {
  readonly board: Blackboard;
  readonly store: Store;
  readonly clock: { ms: number };
}

async function withBoard(use: (opened: Opened) => Promise<void>): Promise<void> {
  const store = await openStore({ path: mkdtempSync(join(root, "s-")), mode: "inline" });
  const clock = { ms: 1_000 };
  try {
    await use({ store, clock, board: new Blackboard(store, { ...systemClock, nowMs: () => clock.ms }) });
  } finally {
    await store.close();
  }
}

const entry = (key: string, value: string | null, more: Partial<BoardWrite> = {}): BoardWrite => ({
  ...{ key, value, ifVersion: undefined, ttlSeconds: undefined, writer: "a", session: "s", label: unlabelled },
  ...more,
});

/** Prepares and commits; the version, or the code of the refusal. */
async function write({ board, store }: Opened, change: BoardWrite): Promise<number | string> {
  const prepared = board.prepare(change);
  if (!prepared.ok) return prepared.error.code;
  await store.commit(prepared.value.writes);
  prepared.value.done();
  return prepared.value.version;
}

test("versions count up, and go on over a deletion", () =>
  withBoard(async (opened) => {
    assert.deepEqual(
      [
        await write(opened, entry("k", "1")),
        await write(opened, entry("k", "2")),
        await write(opened, entry("k", null)),
        await write(opened, entry("k", "4", { ifVersion: 0 })),
      ],
      [1, 2, 3, 4],
    );
    assert.equal(await write(opened, entry("none", null)), "not_found");
    const { board } = opened;
    assert.deepEqual(board.read("k", undefined), { key: "k", version: 4, value: "4", writer: "a", label: unlabelled });
    assert.deepEqual(
      [1, 2, 3, 4, 5].map((version) => board.read("k", version)?.value),
      ["1", "2", undefined, "4", undefined],
    );
    await write(opened, entry("k", null));
    assert.equal(board.read("k", 4), undefined);
  }));

test("of many that compare with the same version at once, one wins; readers see nothing that is not on disk", () =>
  withBoard(async ({ board, store }) => {
    for (const ifVersion of [0, 1, 2]) {
      const tries = Array.from({ length: 20 }, () => board.prepare(entry("k", String(ifVersion), { ifVersion })));
      const won = tries.flatMap((tried) => (tried.ok ? [tried.value] : []));
      assert.equal(won.length, 1);
      assert.ok(tries.every((tried) => tried.ok || tried.error.code === "conflict"));
      assert.equal(board.read("k", undefined)?.version ?? 0, ifVersion);
      await store.commit(won[0]!.writes);
      won[0]!.done();
      assert.equal(board.read("k", undefined)?.version, ifVersion + 1);
    }
  }));

test("what has expired is not there: for readers, lists, comparisons and deletions", () =>
  withBoard(async (opened) => {
    const { board, clock } = opened;
    await write(opened, entry("k", "1", { ttlSeconds: 10 }));
    clock.ms += 9_999;
    assert.equal(board.read("k", undefined)?.version, 1);
    assert.equal(board.list("**", () => true).length, 1);
    assert.equal(await write(opened, entry("k", "x", { ifVersion: 0 })), "conflict");
    clock.ms += 1;
    assert.equal(board.read("k", undefined), undefined);
    assert.equal(board.read("k", 1), undefined);
    assert.deepEqual(
      board.list("**", () => true),
      [],
    );
    assert.equal(await write(opened, entry("k", "x", { ifVersion: 1 })), "conflict");
    assert.equal(await write(opened, entry("k", null)), "not_found");
    assert.equal(await write(opened, entry("k", "2", { ifVersion: 0 })), 2);
    // Versions that were written for ever end with the key.
    assert.equal(await write(opened, entry("k", "3", { ttlSeconds: 10 })), 3);
    assert.equal(board.read("k", 2)?.value, "2");
    clock.ms += 10_000;
    assert.equal(board.read("k", 2), undefined);
    assert.equal(board.history("k", undefined), undefined);
  }));

test("a list shows live rows that match and that the reader may see, in order, bounded", () =>
  withBoard(async (opened) => {
    const { board } = opened;
    for (const key of ["b/2", "a/1", "ab", "a/1/x", "b/1", "c"]) await write(opened, entry(key, key));
    await write(opened, entry("c", null));
    const keys = (glob: string, visible = (_key: string) => true): string[] =>
      board.list(glob, visible).map(({ key }) => key);
    assert.deepEqual(keys("**"), ["a/1", "a/1/x", "ab", "b/1", "b/2"]);
    assert.deepEqual(keys("a/*"), ["a/1"]);
    assert.deepEqual(keys("a/**"), ["a/1", "a/1/x"]);
    assert.deepEqual(keys("ab/**"), ["ab"]);
    assert.deepEqual(keys("a*"), ["ab"]);
    assert.deepEqual(keys("*/1"), ["a/1", "b/1"]);
    assert.deepEqual(keys("b/1"), ["b/1"]);
    assert.deepEqual(
      keys("**", (key) => key.startsWith("b/")),
      ["b/1", "b/2"],
    );
    assert.deepEqual(
      keys("**", () => false),
      [],
    );
    const many = Array.from({ length: 450 }, (_, i) => `m/${String(i).padStart(3, "0")}`);
    for (const key of many) await write(opened, entry(key, ""));
    assert.deepEqual(keys("m/*"), many.slice(0, limits.board.listRowsMax));
    assert.deepEqual(
      keys("m/*", (key) => key === "m/449"),
      ["m/449"],
    );
  }));

type Step =
  | {
      readonly do: "write" | "delete";
      readonly key: string;
      readonly cas: number | undefined;
      readonly ttl: number | undefined;
    }
  | { readonly do: "commit" | "wait" };
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constantFrom("write" as const, "write" as const, "delete" as const),
    key: fc.constantFrom("a", "b"),
    cas: fc.option(fc.nat(4), { nil: undefined }),
    ttl: fc.option(fc.constantFrom(1, 3), { nil: undefined }),
  }),
  fc.constantFrom({ do: "commit" as const }, { do: "wait" as const }),
);

test("any order of writes, commits and time agrees with a model that decides at once", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), (steps) =>
      withBoard(async ({ board, store, clock }) => {
        const decided = new Map<string, { version: number; value: string | null; until: number }>();
        let committed = new Map(decided);
        let open: (() => Promise<void>)[] = [];
        const live = (of: typeof decided, key: string) => {
          const row = of.get(key);
          return row && row.value !== null && clock.ms < row.until ? row : undefined;
        };
        const flush = async (): Promise<void> => {
          for (const commit of open) await commit();
          open = [];
          committed = new Map(decided);
        };
        for (const [at, now] of steps.entries()) {
          if (!("key" in now)) {
            if (now.do === "commit") await flush();
            else clock.ms += 1_000;
          } else {
            const value = now.do === "write" ? `v${at}` : null;
            const before = live(decided, now.key);
            const prepared = board.prepare(entry(now.key, value, { ifVersion: now.cas, ttlSeconds: now.ttl }));
            const fits = (now.cas ?? before?.version ?? 0) === (before?.version ?? 0);
            assert.equal(prepared.ok, fits && (value !== null || before !== undefined));
            if (!prepared.ok) continue;
            const version = (decided.get(now.key)?.version ?? 0) + 1;
            assert.equal(prepared.value.version, version);
            decided.set(now.key, { version, value, until: now.ttl ? clock.ms + now.ttl * 1_000 : Infinity });
            open.push(() => store.commit(prepared.value.writes).then(prepared.value.done));
          }
          for (const key of ["a", "b"]) {
            const row = live(committed, key);
            assert.deepEqual(board.read(key, undefined)?.value, row?.value ?? undefined);
          }
          assert.deepEqual(
            board.list("*", () => true).map(({ key }) => key),
            ["a", "b"].filter((key) => live(committed, key)),
          );
        }
      }),
    ),
    { seed: 18, numRuns: 60 },
  );
});

test("what one agent looks for leaves turns to everybody else, however often it asks and little of the board matches", () =>
  withBoard(async ({ store }) => {
    // Each look at the clock takes half of what a reader has of a turn.
    let clockMs = 0;
    const board = new Blackboard(store, { ...systemClock, monotonicMs: () => (clockMs += 1) });
    const names = Array.from({ length: 2_000 }, (_, i) => `m/${i}`);
    const made = names.map((key) => board.prepare(entry(key, "")));
    await store.commit(made.flatMap((each) => (each.ok ? each.value.writes : [])));
    for (const each of made) if (each.ok) each.value.done();
    let longest = 0;
    let seen = 0;
    let beating = true;
    const beat = (): void =>
      void setImmediate(() => {
        seen = 0;
        if (beating) beat();
      });
    beat();
    const all = { reader: "agent:a", match: "**", within: ["**"] };
    const count = (): boolean => {
      longest = Math.max(longest, ++seen);
      return false;
    };
    assert.deepEqual(await board.keys({ ...all, match: "**/none" }, count), []);
    assert.equal(longest, 0, "what does not match is not even decided");
    const watch = { reader: "agent:a", match: "**", from: 0, waitMs: 0 };
    await Promise.all(
      Array.from({ length: 8 }, (_, n) =>
        n % 2 === 0 ? board.keys(all, count) : board.watches.changes(watch, count, new AbortController().signal),
      ),
    );
    beating = false;
    assert.ok(longest > 0 && longest <= 400, `${longest} keys in one turn`);
    const some = await board.keys({ ...all, match: "m/19*", within: ["m/**", "n/*"] }, (key) => key !== "m/190");
    const expected = names.filter((key) => key.startsWith("m/19") && key !== "m/190").toSorted();
    assert.deepEqual(
      some.map(({ key }) => key),
      expected,
    );
  }));

test("names are paged without a gap and without one twice, whatever begins with what", () =>
  withBoard(async (opened) => {
    const keys = ["a", "a-b", "a.b", "a/b", "a/b/c", "a/b0", "a0", "ab", "b"];
    for (const key of keys.toReversed()) await write(opened, entry(key, ""));
    for (const prefix of ["", "a", "a/", "a/b", "b", "c"])
      for (const limit of [1, 2, 3, 100]) {
        const found: string[] = [];
        for (let page: string[] | undefined; page === undefined || page.length === limit;)
          found.push(...(page = opened.store.query.board.names("default", prefix, found.at(-1) ?? "", limit)));
        assert.deepEqual(found, keys.filter((key) => key.startsWith(prefix)).toSorted(), `${prefix} by ${limit}`);
      }
  }));

test("one writer makes a part of the keys only, also over a restart; what is there everybody may go on writing", () =>
  withBoard(async (opened) => {
    const { store, clock } = opened;
    const most = limits.board.keysPerWriterMax;
    const again = (): Blackboard => new Blackboard(store, { ...systemClock, nowMs: () => clock.ms });
    const made = Array.from({ length: most }, (_, i) =>
      opened.board.prepare(entry(`m/${i}`, "", i === most - 1 ? { ttlSeconds: 1 } : {})),
    );
    assert.ok(made.every(({ ok }) => ok));
    await store.commit(made.flatMap((each) => (each.ok ? each.value.writes : [])));
    for (const board of [opened.board, again()]) {
      const refused = board.prepare(entry("m/more", ""));
      assert.equal(refused.ok ? undefined : refused.error.code, "too_large");
      assert.ok(board.prepare(entry("m/0", "changed")).ok);
      assert.ok(board.prepare(entry("m/more", "", { writer: "b" })).ok);
    }
    // What was deleted makes room for whom it counted, whoever deletes it and as often as it happens; its versions go on.
    for (let n = 1; n < 4; n++) {
      const now = { ...opened, board: again() };
      assert.equal(await write(now, entry("m/1", null, { writer: "b" })), 2 * n);
      if (n === 1) assert.equal(await write(now, entry("m/new", "")), 1);
      assert.equal(await write(now, entry("m/1", "")), n === 1 ? "too_large" : 2 * n + 1);
      if (n === 1) assert.equal(await write(now, entry("m/new", null)), 2);
      if (n === 1) assert.equal(await write(now, entry("m/1", "")), 3);
      assert.equal(await write(now, entry("m/other", "")), "too_large");
      assert.equal(await write({ ...opened, board: again() }, entry("m/other", "")), "too_large");
    }
    // So does what has expired, which is found by and by, and comes to life again only by a write.
    clock.ms += 1_000;
    const board = again();
    let tries = 0;
    while (tries < most / 400 && (await write({ ...opened, board }, entry("m/late", ""))) === "too_large") {
      tries++;
      // What was found goes to the disk before more is looked for.
      await store.commit([]);
    }
    assert.ok(tries > 0 && tries <= most / 400, `${tries} tries`);
    assert.equal(await write({ ...opened, board }, entry(`m/${most - 1}`, "")), "too_large");
    assert.equal(await write({ ...opened, board }, entry(`m/${most - 1}`, "", { writer: "b" })), 2);
    for (const at of [board, again()]) {
      assert.equal(at.read(`m/${most - 1}`, undefined)?.version, 2);
      assert.deepEqual(
        at.list(`m/${most - 1}`, () => true).map(({ version }) => version),
        [2],
      );
    }
  }));

test("however many keys are on their way to the disk, each is compared with; what is there is forgotten and read again", () =>
  withBoard(async (opened) => {
    const { board, store } = opened;
    const count = limits.board.headsKnownMax + 2_000;
    const prepare = (key: string, ifVersion: number) => {
      const made = board.prepare(entry(key, "v", { ifVersion }));
      return made.ok ? made.value : undefined;
    };
    const made = Array.from({ length: count }, (_, n) => prepare(`k/${n}`, 0));
    const writes = made.flatMap((one) => one?.writes ?? []);
    assert.equal(prepare("k/0", 0), undefined);
    const again = prepare("k/1", 1);
    assert.equal(prepare("k/1", 1), undefined);
    await store.commit([...writes, ...(again?.writes ?? [])]);
    for (const one of [...made, again]) one?.done();
    let asked = 0;
    const { head } = store.query.board;
    store.query.board.head = (...of) => (asked++, head(...of));
    // Each new key takes the place of one that is on the disk.
    const more = Array.from({ length: 3_000 }, (_, n) => prepare(`more/${n}`, 0));
    assert.ok(more.every(Boolean));
    asked = 0;
    for (const [key, version] of [
      ...[0, 1_000, 9_000, 10_000, count - 1].map((n) => [`k/${n}`, 1] as const),
      ["k/1", 2],
    ] as const) {
      assert.equal(prepare(key, version - 1), undefined, key);
      assert.equal(prepare(key, version)?.version, version + 1, key);
    }
    assert.ok(asked > 0, "the first keys were forgotten");
    assert.equal(prepare("more/0", 0), undefined);
  }));
