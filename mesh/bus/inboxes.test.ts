import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { Clock } from "../../lib/clock.ts";
import { randomId } from "../../lib/id.ts";
import { unlabelled } from "../../protocol/label.ts";
import { limits } from "../../protocol/limits.ts";
import { openStore } from "../store/open.ts";
import { defaultTenant } from "../store/statements.ts";
import type { Store } from "../store/store.ts";
import { Inboxes, type Post } from "./inboxes.ts";

const root = mkdtempSync(join(tmpdir(), "cordon-bus-"));
after(() => rmSync(root, { recursive: true }));
const never = new AbortController().signal;

/** Time that moves when the test says so. */
class TestClock implements Clock {
  ms = 1_000;
  readonly #sleeping = new Set<() => void>();
  nowMs(): number {
    return this.ms;
  }
  monotonicMs(): number {
    return this.ms;
  }
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    const due = this.ms + ms;
    return new Promise((resolve, reject) => {
      const check = (): void => void (this.ms >= due && (this.#sleeping.delete(check), resolve()));
      this.#sleeping.add(check);
      signal?.addEventListener("abort", () => (this.#sleeping.delete(check), reject(signal.reason)), { once: true });
    });
  }
  get sleepers(): number {
    return this.#sleeping.size;
  }
  pass(ms: number): void {
    this.ms += ms;
    for (const check of this.#sleeping) check();
  }
}

interface Opened {
  readonly inboxes: Inboxes;
  readonly store: Store;
  readonly clock: TestClock;
}

async function withInboxes(use: (opened: Opened) => Promise<void>): Promise<void> {
  const store = await openStore({ path: mkdtempSync(join(root, "s-")), mode: "inline" });
  const clock = new TestClock();
  try {
    await use({ store, clock, inboxes: new Inboxes(store, clock, randomId) });
  } finally {
    await store.close();
  }
}

async function post({ inboxes, store }: Opened, to: string, body: string, more: Partial<Post> = {}): Promise<string> {
  const posted = inboxes.post({
    to,
    body,
    from: "agent:x",
    label: unlabelled,
    conversation: undefined,
    replyTo: null,
    ...more,
  });
  assert.ok(posted.ok);
  await store.commit(posted.value.writes);
  posted.value.done();
  return posted.value.id;
}

async function settle({ inboxes, store }: Opened, agent: string, id: string): Promise<void> {
  const settled = inboxes.settle(agent, id);
  await store.commit(settled.writes);
  settled.done();
}
const next = ({ inboxes }: Opened, agent: string) => inboxes.next(agent, 0, never);

test("each agent has a lane of its own: first in, first out, one at a time", () =>
  withInboxes(async (opened) => {
    for (const body of ["1", "2", "3"]) await post(opened, "a", body);
    await post(opened, "b", "other");
    assert.equal((await next(opened, "b"))?.body, "other");
    for (const body of ["1", "2", "3"]) {
      const delivery = await next(opened, "a");
      assert.equal(delivery?.body, body);
      assert.equal(await next(opened, "a"), undefined);
      await settle(opened, "a", delivery.id);
    }
    assert.equal(await next(opened, "a"), undefined);
  }));

test("who sleeps is woken when a message is taken, and told again when it is on disk", () =>
  withInboxes(async (opened) => {
    const told: unknown[] = [];
    opened.inboxes.observe((agent) =>
      told.push([agent, opened.store.query.messages.queuedCount(defaultTenant, agent)]),
    );
    await post(opened, "a", "one");
    assert.deepEqual(told, [
      ["a", 0],
      ["a", 1],
    ]);
  }));

test("a delivery carries what was posted", () =>
  withInboxes(async (opened) => {
    const label = { integrity: "user" as const, confidentiality: "private" as const, sources: ["principal:p"] };
    const id = await post(opened, "a", "hi", { from: "principal:p", conversation: "cnv_1", replyTo: "msg_0", label });
    assert.deepEqual(await next(opened, "a"), {
      id,
      from: "principal:p",
      conversation: "cnv_1",
      inReplyTo: "msg_0",
      body: "hi",
      label,
      sentAtMs: 1_000,
    });
  }));

test("what nobody settles comes again after its lease, and at once after a restart of the agent", () =>
  withInboxes(async (opened) => {
    const id = await post(opened, "a", "1");
    await next(opened, "a");
    opened.clock.pass(limits.message.leaseMs - 1);
    assert.equal(await next(opened, "a"), undefined);
    opened.clock.pass(1);
    assert.equal((await next(opened, "a"))?.id, id);
    assert.equal(await next(opened, "a"), undefined);
    opened.inboxes.forgetLease("a");
    assert.equal((await next(opened, "a"))?.id, id);
    assert.equal((await new Inboxes(opened.store, opened.clock, randomId).next("a", 0, never))?.id, id);
  }));

test("nobody settles or answers what is another's, what has ended, or what is ending", () =>
  withInboxes(async (opened) => {
    const { inboxes, store } = opened;
    const id = await post(opened, "a", "1");
    assert.equal(inboxes.pending("b", id), undefined);
    assert.equal(inboxes.pending("a", "msg_none"), undefined);
    assert.equal(inboxes.pending("a", id)?.id, id);
    const settling = inboxes.settle("a", id);
    assert.equal(inboxes.pending("a", id), undefined);
    await store.commit(settling.writes);
    settling.done();
    assert.equal(inboxes.pending("a", id), undefined);
  }));

test("an inbox is bounded, those on their way to the disk included; what is settled makes room", () =>
  withInboxes(async (opened) => {
    const { inboxes, store } = opened;
    const max = limits.message.inboxFromAgentsMax;
    const all = Array.from({ length: max + 5 }, () =>
      inboxes.post({ to: "a", body: "x", from: "agent:x", label: unlabelled, conversation: undefined, replyTo: null }),
    );
    assert.deepEqual(
      all.map((posted) => (posted.ok ? "ok" : posted.error.code)),
      [...new Array(max).fill("ok"), ...new Array(5).fill("busy")],
    );
    for (const posted of all) if (posted.ok) await store.commit(posted.value.writes);
    const person = inboxes.post({
      ...{ to: "a", body: "x", from: "principal:operator", label: unlabelled },
      ...{ conversation: undefined, replyTo: null },
    });
    assert.equal(person.ok, true, "a person gets through to an inbox that agents have filled");
    const again = new Inboxes(store, opened.clock, randomId);
    const first = await again.next("a", 0, never);
    assert.ok(first);
    await settle({ ...opened, inboxes: again }, "a", first.id);
    assert.equal(again.depth("a"), max - 1);
    assert.equal(
      again.post({ to: "a", body: "x", from: "agent:x", label: unlabelled, conversation: undefined, replyTo: null }).ok,
      true,
    );
    assert.equal(
      again.post({ to: "a", body: "x", from: "agent:x", label: unlabelled, conversation: undefined, replyTo: null }).ok,
      false,
    );
  }));

test("a wait ends with the message, with its time or with the agent, and leaves nothing behind", () =>
  withInboxes(async (opened) => {
    const { inboxes, clock } = opened;
    const woken = inboxes.next("a", 5_000, never);
    const other = inboxes.next("b", 5_000, never);
    const id = await post(opened, "a", "1");
    assert.equal((await woken)?.id, id);
    clock.pass(5_000);
    assert.equal(await other, undefined);
    const gone = new AbortController();
    const left = inboxes.next("b", 5_000, gone.signal);
    gone.abort();
    assert.equal(await left, undefined);
    assert.equal(clock.sleepers, 0);
  }));

test("the next message wakes who waits when the one before it is settled", () =>
  withInboxes(async (opened) => {
    const first = await post(opened, "a", "1");
    const second = await post(opened, "a", "2");
    await next(opened, "a");
    const waiting = opened.inboxes.next("a", 5_000, never);
    await settle(opened, "a", first);
    assert.equal((await waiting)?.id, second);
  }));

test("answers to a person come in order, after the one that was seen, and wake who waits", () =>
  withInboxes(async (opened) => {
    const { inboxes, store } = opened;
    const id = await post(opened, "a", "question", { from: "principal:p", conversation: "cnv_1" });
    const delivery = inboxes.pending("a", id);
    assert.ok(delivery);
    const say = async (body: string): Promise<void> => {
      const answer = inboxes.answer("p", "agent:a", delivery, body, unlabelled);
      await store.commit(answer.writes);
      answer.done();
    };
    const waiting = inboxes.replies("cnv_1", 0, 5_000, never);
    await say("one");
    const [first] = await waiting;
    assert.deepEqual([first?.body, first?.from], ["one", "agent:a"]);
    await say("two");
    assert.deepEqual(
      (await inboxes.replies("cnv_1", first!.seq, 0, never)).map(({ body }) => body),
      ["two"],
    );
    assert.deepEqual(
      (await inboxes.replies("cnv_1", 0, 0, never)).map(({ body }) => body),
      ["one", "two"],
    );
    assert.deepEqual(await inboxes.replies("cnv_2", 0, 0, never), []);
  }));

test("a message that its reader never settles is ended after its attempts, and what waits behind it comes", () =>
  withInboxes(async (opened) => {
    const { store, clock } = opened;
    const dead: { agent: string; id: string; attempts: number }[] = [];
    const inboxes = new Inboxes(store, clock, randomId, async ({ writes, ...about }) => {
      dead.push(about);
      await store.commit(writes);
    });
    const poison = await post({ ...opened, inboxes }, "a", "poison");
    const good = await post({ ...opened, inboxes }, "a", "good");
    for (let n = 0; n < limits.message.attemptsMax; n++) {
      assert.equal((await inboxes.next("a", 0, never))?.id, poison);
      // By turns it dies of it, and sleeps over it.
      if (n % 2 === 0) inboxes.forgetLease("a");
      else clock.pass(limits.message.leaseMs);
    }
    assert.deepEqual(dead, []);
    assert.equal((await inboxes.next("a", 0, never))?.id, good);
    assert.deepEqual(dead, [{ agent: "a", id: poison, attempts: limits.message.attemptsMax }]);
    assert.equal(store.query.messages.get("default", poison)?.state, "settled");
    assert.equal(inboxes.depth("a"), 1);
    // The last attempt is given its time.
    for (let n = 1; n < limits.message.attemptsMax; n++) {
      clock.pass(limits.message.leaseMs);
      assert.equal((await inboxes.next("a", 0, never))?.id, good);
    }
    assert.equal(await inboxes.next("a", 0, never), undefined);
    assert.equal(inboxes.pending("a", good)?.id, good, "it may still be settled");
  }));
