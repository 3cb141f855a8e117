/** Rotation, overlap, expiry, revocation and what is noticed of uses, on a real store and a clock that the test turns. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { Secret } from "../../lib/redact.ts";
import type { Clock } from "../../lib/clock.ts";
import { limits } from "../../protocol/limits.ts";
import { Injector } from "../egress/credentials.ts";
import { Scrubber } from "../egress/scrubber.ts";
import { openStore } from "../store/open.ts";
import { defaultTenant } from "../store/statements.ts";
import type { Store } from "../store/store.ts";
import { loadMasterKey } from "./master-key.ts";
import { messageCode } from "./message-code.ts";
import { Vault } from "./vault.ts";
import { CredentialWatch } from "./watch.ts";

const root = mkdtempSync(join(tmpdir(), "cordon-lifecycle-"));
after(() => rmSync(root, { recursive: true }));
const [HOUR, DAY] = [3_600_000, 86_400_000];
const by = "principal:operator";
const secret = (text: string): Secret => new Secret(Buffer.from(text));

interface Scene {
  readonly store: Store;
  readonly vault: Vault;
  readonly events: { readonly type: string; readonly agent: string | null; readonly detail: object }[];
  readonly time: { nowMs: number };
}

const turned = new Map<string, { nowMs: number }>();

async function scene(use: (scene: Scene) => Promise<void>, state = mkdtempSync(join(root, "s-"))): Promise<void> {
  const time = turned.get(state) ?? { nowMs: Date.UTC(2026, 10, 22, 9) };
  turned.set(state, time);
  const clock: Clock = { nowMs: () => time.nowMs, monotonicMs: () => time.nowMs, sleep: () => Promise.resolve() };
  const store = await openStore({ path: state, mode: "inline" });
  const events: Scene["events"] = [];
  const emit = (type: string, agent: string | null, detail: object = {}): void =>
    void events.push({ type, agent, detail });
  const watch = new CredentialWatch({ store, clock, monitor: { emit, emitSparsely: emit } });
  const audit = { record: (_event: unknown, writes: Parameters<Store["commit"]>[0] = []) => store.commit(writes) };
  const key = loadMasterKey(state, randomBytes);
  try {
    await use({ store, vault: new Vault({ store, audit, clock, key, random: randomBytes, watch }), events, time });
  } finally {
    await store.close();
  }
}

const current = (vault: Vault): string | undefined =>
  vault.reveal("k")?.secret.reveal((bytes) => Buffer.from(bytes).toString());
const older = (vault: Vault): string[] =>
  vault.retiring("k").map((each) => each.secret.reveal((bytes) => Buffer.from(bytes).toString()));
const bytesKept = (store: Store): number =>
  store.query.credentials.all(defaultTenant).filter((row) => row.sealedValue.length > 0).length;

test("a new value is taken at once; the one before is kept for the overlap, also over a restart, and then erased", async () => {
  const state = mkdtempSync(join(root, "s-"));
  await scene(async ({ vault }) => {
    await vault.put("k", secret("value-one"), by, { expect: "new" });
    await vault.put("k", secret("value-two"), by, { expect: "known", overlapMs: HOUR });
    assert.deepEqual([current(vault), older(vault)], ["value-two", ["value-one"]]);
  }, state);
  await scene(async ({ vault, store, time }) => {
    await vault.put("k", secret("value-three"), by, { overlapMs: HOUR });
    assert.deepEqual([current(vault), older(vault)], ["value-three", ["value-two", "value-one"]]);
    time.nowMs += HOUR;
    assert.deepEqual(older(vault), [], "also before anybody has erased them");
    assert.equal(bytesKept(store), 3);
    await vault.tend();
    assert.equal(bytesKept(store), 1);
    assert.equal(current(vault), "value-three");
  }, state);
  await scene(({ vault }) => Promise.resolve(assert.deepEqual(older(vault), [])), state);
});

test("a value without an overlap is erased in the same moment, and so is what a long row of rotations leaves", async () => {
  await scene(async ({ vault, store }) => {
    await vault.put("k", secret("value-one"), by);
    await vault.put("k", secret("value-two"), by);
    assert.deepEqual([older(vault), bytesKept(store)], [[], 1]);
    for (let i = 0; i < 20; i++) await vault.put("k", secret(`value-${i}`), by, { overlapMs: HOUR });
    assert.equal(bytesKept(store), limits.credential.versionsKeptMax);
    assert.equal(older(vault).length, limits.credential.versionsKeptMax - 1);
  });
});

test("what stands and what does not is told before anything is changed", async () => {
  await scene(async ({ vault }) => {
    const none = await vault.put("k", secret("value-one"), by, { expect: "known" });
    assert.ok(!none.ok && /no credential/.test(none.error.reason) && /credential add k/.test(none.error.fix));
    await vault.put("k", secret("value-one"), by, { expect: "new" });
    const twice = await vault.put("k", secret("value-two"), by, { expect: "new" });
    assert.ok(!twice.ok && /already/.test(twice.error.reason) && /credential rotate k/.test(twice.error.fix));
    assert.equal(current(vault), "value-one");
  });
});

test("an answer is cleared of the old value, too, as long as the overlap lasts", async () => {
  await scene(async ({ vault, time }) => {
    const injector = new Injector(vault);
    const cleared = (text: string): string => {
      const scrubber = new Scrubber(injector.prepare("k")!.automaton);
      return Buffer.concat([scrubber.push(Buffer.from(text)), scrubber.end()]).toString();
    };
    await vault.put("k", secret("value-one"), by);
    assert.ok(!cleared("a value-one").includes("value-one"));
    await vault.put("k", secret("value-two"), by, { overlapMs: HOUR });
    assert.ok(!/value-(one|two)/.test(cleared("value-one value-two")));
    time.nowMs += HOUR;
    assert.match(cleared("value-one"), /value-one/, "the automaton is made anew when the overlap ends");
  });
});

test("what was signed with the old value is believed as long as the overlap lasts", async () => {
  await scene(async ({ vault, time }) => {
    await vault.put("k", secret("value-one"), by);
    const [old] = messageCode(vault, "k", [Buffer.from("x")]).codes;
    await vault.put("k", secret("value-two"), by, { overlapMs: HOUR });
    const { codes } = messageCode(vault, "k", [Buffer.from("x")]);
    assert.ok(codes.length === 2 && codes[1]?.equals(old ?? Buffer.alloc(0)));
    time.nowMs += HOUR;
    assert.equal(messageCode(vault, "k", [Buffer.from("x")]).codes.length, 1);
  });
});

test("an expired value is refused, told before and at its end, and replaced by a rotation", async () => {
  await scene(async ({ vault, events, time }) => {
    await vault.put("k", secret("value-one"), by, { expiresInMs: 30 * DAY });
    await vault.tend();
    assert.deepEqual(events, []);
    time.nowMs += 24 * DAY;
    for (let i = 0; i < 3; i++) await vault.tend();
    assert.deepEqual(
      events.map(({ type }) => type),
      ["credential.expiring"],
    );
    time.nowMs += 6 * DAY;
    assert.equal(current(vault), undefined);
    assert.deepEqual([vault.has("k"), vault.list()[0]?.standing], [false, "expired"]);
    await vault.tend();
    assert.deepEqual(
      events.map(({ type }) => type),
      ["credential.expiring", "credential.expired_use", "credential.expired"],
    );
    await vault.put("k", secret("value-two"), by, { expect: "known" });
    assert.equal(current(vault), "value-two");
  });
});

test("who used what, where, is counted; a first use, a strange hour, a flood and a revoked one are told", async () => {
  const state = mkdtempSync(join(root, "s-"));
  const reader = { agent: "reader", destination: "openai" };
  await scene(async ({ vault, store, events, time }) => {
    await vault.put("k", secret("value-one"), by);
    const use = async (from = reader): Promise<void> => store.commit(vault.reveal("k", from)?.writes ?? []);
    await use();
    await use();
    await use({ agent: "other", destination: "openai" });
    assert.deepEqual(
      events.map(({ type, agent }) => `${type} ${agent}`),
      ["credential.first_use reader", "credential.first_use other"],
    );
    time.nowMs += 60_000;
    for (let i = 0; i < 100; i++) await use();
    assert.equal(events.filter(({ type }) => type === "credential.unusual_rate").length, 1);
    time.nowMs += 8 * DAY + 5 * HOUR;
    await use();
    await use();
    assert.equal(events.filter(({ type }) => type === "credential.unusual_hour").length, 1);
    await vault.revoke("k", by);
    assert.equal(vault.reveal("k", reader), undefined);
    assert.deepEqual([events.at(-1)?.type, events.at(-1)?.agent], ["credential.revoked_use", "reader"]);
    await vault.tend();
  }, state);
  await scene(async ({ vault, events, store, time }) => {
    const [other, mine] = vault.uses();
    assert.deepEqual(
      [other?.agent, other?.uses, mine?.agent, mine?.uses, mine?.refusals],
      ["other", 1, "reader", 104, 1],
    );
    await vault.put("k", secret("value-two"), by);
    time.nowMs += 60_000;
    await store.commit(vault.reveal("k", reader)?.writes ?? []);
    assert.deepEqual(events, [], "what was learnt outlives a restart");
  }, state);
});

test("a fingerprint tells values apart and is of no use without the key", async () => {
  const cards: string[] = [];
  for (let i = 0; i < 2; i++) {
    await scene(async ({ vault }) => {
      await vault.put("k", secret("value-one"), by);
      const first = vault.list()[0]?.fingerprint ?? "";
      await vault.put("k", secret("value-two"), by);
      assert.notEqual(vault.list()[0]?.fingerprint, first);
      await vault.put("k", secret("value-one"), by);
      assert.equal(vault.list()[0]?.fingerprint, first);
      cards.push(first);
    });
  }
  assert.match(cards[0] ?? "", /^[0-9a-f]{12}$/);
  assert.notEqual(cards[0], cards[1]);
});
