/** Two requests that end one delivery at the same moment: one does, and the other leaves nothing behind. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock as clock } from "../../lib/clock.ts";
import { randomId as ids } from "../../lib/id.ts";
import { unlabelled } from "../../protocol/label.ts";
import { Inboxes } from "../bus/inboxes.ts";
import type { Grants } from "../policy/decide.ts";
import { openStore } from "../store/open.ts";
import type { Write } from "../store/store.ts";
import { denialsByCaller } from "./denials.ts";
import { done, reply } from "./inbox-call.ts";
import type { DoorServices } from "./services.ts";

const may: Grants = { message: ["b", "a"], blackboard: { read: [], write: [] }, tools: [], models: [] };

/** The services that a reply needs, on a store of its own; `room` says whether the disk has any. */
async function place(room: () => boolean) {
  const path = mkdtempSync(join(tmpdir(), "cordon-reply-"));
  const store = await openStore({ path, mode: "inline" });
  const inboxes = new Inboxes(store, clock, ids);
  const audit = { record: (_event: unknown, writes: readonly Write[] = []) => store.commit(writes) };
  const services = {
    ...{ clock, ids, audit, inboxes, matrix: new Map([["a", may]]), room, halted: () => undefined },
    monitor: { emit: () => {}, emitSparsely: () => {} },
    denials: denialsByCaller({ clock, audit }),
  } as unknown as DoorServices;
  return { path, store, inboxes, services };
}

test("answers to one message at the same moment fill nobody's inbox: one is posted, and one counts", async () => {
  const { path, store, inboxes, services } = await place(() => true);
  try {
    const caller = { agent: "a", sandbox: "s" };
    const sent = inboxes.post({
      ...{ to: "a", from: "agent:b", body: "x", label: unlabelled, conversation: undefined, replyTo: null },
    });
    assert.ok(sent.ok);
    await store.commit(sent.value.writes);
    sent.value.done();
    const { id } = sent.value;
    const asked = [1, 2, 3, 4].map((n) => reply(services, caller, id, { body: `answer ${n}` }));
    const answers = await Promise.all([...asked, done(services, caller, id)]);
    assert.equal(answers.filter(({ ok }) => ok).length, 1);
    const stored = store.query.messages.queuedCount("default", "b");
    assert.deepEqual([inboxes.depth("b"), inboxes.depth("a")], [stored, 0]);
  } finally {
    await store.close();
    rmSync(path, { recursive: true });
  }
});

test("on a disk that is nearly full agents answer no agent; who asked as a person is answered, and what is settled is settled", async () => {
  const { path, store, inboxes, services } = await place(() => false);
  try {
    const caller = { agent: "a", sandbox: "s" };
    const post = async (from: "agent:b" | "principal:operator"): Promise<string> => {
      const sent = inboxes.post({
        ...{ to: "a", from, body: "x", label: unlabelled, conversation: undefined, replyTo: null },
      });
      assert.ok(sent.ok);
      await store.commit(sent.value.writes);
      sent.value.done();
      return sent.value.id;
    };
    const ofAgent = await post("agent:b");
    const answered = await reply(services, caller, ofAgent, { body: "y" });
    assert.equal(answered.ok ? "ok" : answered.error.code, "busy");
    assert.equal(inboxes.depth("b"), 0);
    assert.ok((await done(services, caller, ofAgent)).ok);
    assert.ok((await reply(services, caller, await post("principal:operator"), { body: "y" })).ok);
  } finally {
    await store.close();
    rmSync(path, { recursive: true });
  }
});
