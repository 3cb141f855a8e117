/** Tasks among agents over crashes and hostile orders: states, circles, depth, deadlines, stalls, identity. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Inboxes } from "../../mesh/bus/inboxes.ts";
import { Orchestrator, type Change } from "../../mesh/orchestrator/orchestrator.ts";
import { Watchman } from "../../mesh/orchestrator/watchman.ts";
import { openStore } from "../../mesh/store/open.ts";
import type { Write } from "../../mesh/store/store.ts";
import type { Result } from "../../lib/result.ts";
import { unlabelled } from "../../protocol/label.ts";
import { limits } from "../../protocol/limits.ts";
import type { Refusal } from "../../protocol/refusal.ts";
import { countingIds, SimulatedClock, stateFolder } from "./world.ts";

type Test = Parameters<typeof stateFolder>[0];
const never = new AbortController().signal;

async function open(path: string, clock: SimulatedClock, run = 0) {
  const store = await openStore({ path, mode: "inline" });
  const inboxes = new Inboxes(store, clock, countingIds(run));
  const tasks = new Orchestrator({ store, clock, ids: countingIds(run), inboxes });
  const commit = async (change: Change): Promise<void> => {
    await store.commit(change.writes);
    change.done();
  };
  /** The id of the task, or the code of the refusal. */
  const told = async (decided: Result<Change, Refusal>): Promise<string> => {
    if (!decided.ok) return decided.error.code;
    await commit(decided.value);
    return decided.value.task.id;
  };
  const create = (from: string, to: string, deadlineMs: number = limits.task.deadlineMs): Promise<string> =>
    told(tasks.create(from, { to, title: "t", input: "i", deadlineMs, label: unlabelled }));
  const handOff = (from: string, id: string, to: string): Promise<string> => told(tasks.handOff(from, id, to, "n"));
  const update = (agent: string, id: string, state: "working" | "blocked" = "working"): Promise<string> =>
    told(tasks.update(agent, id, state, ""));
  const finish = (agent: string, id: string): Promise<string> =>
    told(tasks.finish(agent, id, { state: "done", result: "r", label: unlabelled }));
  /** Takes and settles the next message of a lane, as the door does; what it says of a task. */
  const take = async (agent: string): Promise<string | undefined> => {
    const delivery = await inboxes.next(agent, 0, never);
    if (!delivery) return undefined;
    const found = tasks.delivered(agent, delivery.id);
    if (found?.change) await commit(found.change);
    const settled = inboxes.settle(agent, delivery.id);
    await store.commit(settled.writes);
    settled.done();
    return found && `${found.notice.kind} ${found.notice.task}`;
  };
  const given = async (from: string, to: string): Promise<string> => {
    const id = await create(from, to);
    assert.equal(await take(to), `assigned ${id}`);
    return id;
  };
  const state = (id: string): string | undefined => store.query.tasks.get("default", id)?.state;
  return { store, inboxes, tasks, create, handOff, update, finish, take, given, state, commit };
}
async function withTasks(t: Test, use: (w: Awaited<ReturnType<typeof open>>, clock: SimulatedClock) => Promise<void>) {
  const clock = new SimulatedClock("2026-01-01T00:00Z");
  const world = await open(stateFolder(t), clock);
  try {
    await use(world, clock);
  } finally {
    await world.store.close();
  }
}

test("a task goes through its states, and back to its creator as a message that the mesh has typed", (t) =>
  withTasks(t, async (w) => {
    const id = await w.create("a", "b");
    assert.equal(w.state(id), "queued");
    assert.equal(await w.update("b", id), "conflict", "not before it was handed out");
    assert.equal(await w.take("b"), `assigned ${id}`);
    assert.equal(w.state(id), "assigned");
    await w.update("b", id);
    await w.update("b", id, "blocked");
    assert.equal(await w.handOff("b", id, "c"), id);
    assert.equal(w.state(id), "handed-off");
    assert.equal(await w.handOff("c", id, "d"), "conflict", "not before it was handed out, either");
    assert.equal(await w.take("c"), `assigned ${id}`);
    assert.equal(await w.finish("c", id), id);
    assert.equal(w.state(id), "done");
    const [answer] = w.store.query.messages.queued("default", "a", 0, 1);
    assert.deepEqual([answer?.sender, answer?.conversation, answer?.replyTo], ["agent:c", id, id]);
    assert.equal(await w.take("a"), `done ${id}`);
    assert.equal(await w.finish("c", id), "not_found", "it ends once");
    assert.deepEqual(
      w.store.query.tasks.steps(id).map(({ by, state, assignee }) => [by, state, assignee]),
      [
        ["agent:a", "queued", "b"],
        ["agent:b", "assigned", "b"],
        ["agent:b", "working", "b"],
        ["agent:b", "blocked", "b"],
        ["agent:b", "handed-off", "c"],
        ["agent:c", "assigned", "c"],
        ["agent:c", "done", "c"],
      ],
    );
    // A message that only looks like it is none of a task.
    const forged = w.inboxes.post({
      ...{ to: "a", from: "agent:x", body: `task ${id} done: t`, label: unlabelled },
      ...{ conversation: id, replyTo: null },
    });
    assert.ok(forged.ok);
    await w.store.commit(forged.value.writes);
    forged.value.done();
    assert.equal(await w.take("a"), undefined);
  }));

test("hole: forged task id closes another's task — nobody changes a task that is not on his hands", (t) =>
  withTasks(t, async (w) => {
    const id = await w.given("a", "b");
    for (const agent of ["a", "c", "mesh"]) {
      assert.equal(await w.finish(agent, id), "not_found");
      assert.equal(await w.update(agent, id), "not_found");
      assert.equal(await w.handOff(agent, id, "d"), "not_found");
    }
    assert.equal(await w.handOff("b", id, "c"), id);
    assert.equal(await w.finish("b", id), "not_found", "it is not b's any more");
    assert.deepEqual(w.tasks.list("d"), []);
  }));

test("a circle is refused, at whatever length, through creation and hand-off, and when a task was ended first", (t) =>
  withTasks(t, async (w, clock) => {
    assert.equal(await w.create("a", "a"), "conflict");
    const first = await w.given("a", "b");
    assert.equal(await w.create("b", "a"), "conflict");
    assert.equal(await w.handOff("b", first, "a"), "conflict");
    const second = await w.given("b", "c");
    for (const to of ["a", "b", "c"]) assert.equal(await w.create("c", to), "conflict");
    for (const to of ["a", "b", "c"]) assert.equal(await w.handOff("c", second, to), "conflict");
    // To end it first hides nothing.
    assert.equal(await w.finish("c", second), second);
    assert.equal(await w.create("c", "a"), "conflict");
    clock.pass(limits.task.lineageMs);
    assert.notEqual(await w.create("c", "a"), "conflict", "after a while it acts of its own again");
    // Who gives work and gets its result may give work again.
    assert.equal(await w.take("b"), `done ${second}`);
    assert.notEqual(await w.create("b", "c"), "conflict");
  }));

test("a restart hides nothing: what an agent has on its hands, and had until a moment ago, still counts", async (t) => {
  const clock = new SimulatedClock("2026-01-01T00:00Z");
  const path = stateFolder(t);
  const before = await open(path, clock);
  await before.given("a", "b");
  const ended = await before.given("c", "d");
  clock.pass(2 * limits.task.lineageMs);
  await before.finish("d", ended);
  await before.store.close();
  const after = await open(path, clock, 1);
  try {
    assert.equal(await after.create("b", "a"), "conflict");
    assert.equal(await after.create("d", "c"), "conflict");
    clock.pass(limits.task.lineageMs);
    assert.equal(await after.create("b", "a"), "conflict");
    assert.notEqual(await after.create("d", "c"), "conflict");
  } finally {
    await after.store.close();
  }
});

test("tasks made in the course of tasks reach a depth and no further; no task is handed off without end", (t) =>
  withTasks(t, async (w) => {
    const { depthMax, hopsMax } = limits.task;
    for (let n = 0; n <= depthMax; n++) await w.given(`d${n}`, `d${n + 1}`);
    assert.equal(await w.create(`d${depthMax + 1}`, "deeper"), "conflict");
    const id = await w.given("h", "h0");
    for (let n = 0; n < hopsMax; n++) {
      assert.equal(await w.handOff(`h${n}`, id, `h${n + 1}`), id);
      await w.take(`h${n + 1}`);
    }
    assert.equal(await w.handOff(`h${hopsMax}`, id, "further"), "conflict");
    assert.equal(w.store.query.tasks.get("default", id)?.hops, hopsMax);
  }));

test("deadlines end a task, silence makes it stall: each told once, on disk first; a sign of life ends the stall", (t) =>
  withTasks(t, async (w, clock) => {
    const events: string[] = [];
    const watchman = new Watchman({
      ...{ orchestrator: w.tasks, clock },
      monitor: { emit: (type, agent) => void events.push(`${type} ${agent}`) },
      audit: { record: (_event, writes: readonly Write[] = []) => w.store.commit(writes) },
    });
    const silent = await w.given("a", "b");
    const short = await w.create("a", "c", 1_000);
    assert.equal(w.tasks.nextAtMs(), clock.nowMs() + 1_000);
    clock.pass(1_000);
    await watchman.look();
    assert.equal(w.state(short), "expired");
    assert.equal(await w.take("a"), `expired ${short}`);
    // What waits in the lane is still handed out, and can no longer be worked on.
    await w.take("c");
    assert.equal(await w.update("c", short), "not_found");
    clock.pass(limits.task.stallMs);
    await watchman.look();
    await watchman.look();
    assert.deepEqual(events, ["task.expired c", "task.stalled b"]);
    assert.notEqual(w.store.query.tasks.get("default", silent)?.stalledAtMs, null);
    await w.update("b", silent);
    assert.equal(w.store.query.tasks.get("default", silent)?.stalledAtMs, null);
    clock.pass(limits.task.stallMs);
    await watchman.look();
    assert.equal(events.length, 3);
  }));

test("hole: reusable names as identity — who leaves the fleet leaves no task to the next one of that name", (t) =>
  withTasks(t, async (w) => {
    const id = await w.given("a", "b");
    for (const change of w.tasks.abandon("b")) await w.commit(change);
    assert.equal(w.state(id), "failed");
    assert.equal(await w.take("a"), `failed ${id}`);
    assert.equal(await w.finish("b", id), "not_found");
    // Nor does the next one get what the first had asked for.
    const asked = await w.given("gone", "c");
    for (const change of w.tasks.abandon("gone")) await w.commit(change);
    assert.equal(w.state(asked), "failed");
    assert.equal(await w.finish("c", asked), "not_found");
    assert.equal(await w.take("gone"), undefined);
  }));

test("so many tasks for one agent, and by one agent, and no more", (t) =>
  withTasks(t, async (w) => {
    for (let n = 0; n < limits.task.tasksPerAgentMax; n++) await w.create(`c${n}`, "b");
    assert.equal(await w.create("last", "b"), "busy");
    for (let n = 0; n < limits.task.tasksPerAgentMax; n++) await w.create("a", `e${n}`);
    assert.equal(await w.create("a", "more"), "busy");
  }));

const names = ["a", "b", "c", "d"] as const;
const name = fc.constantFrom(...names);
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("create" as const), who: name, to: name, pick: fc.nat(9) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("take" as const), who: name, to: name, pick: fc.nat(9) }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constantFrom("handoff" as const, "update" as const, "finish" as const),
      ...{ who: name, to: name, pick: fc.nat(9) },
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constantFrom("pass" as const, "restart" as const),
      who: name,
      to: name,
      pick: fc.nat(9),
    }),
  },
);

test("whatever agents do, in whatever order, over restarts: one holder a task, no circle, no skipped state, nothing lost", async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const path = stateFolder(t);
      const clock = new SimulatedClock("2026-01-01T00:00Z");
      let run = 0;
      let w = await open(path, clock, run);
      const known: string[] = [];
      /** Who led to a task, found out here from what was asked only. */
      const holders = new Map<string, string[]>();
      const refused = ["conflict", "not_found", "busy"];
      try {
        for (const now of steps) {
          const id = known[now.pick % Math.max(1, known.length)] ?? "tsk_none";
          const before = w.store.query.tasks.get("default", id);
          if (now.do === "create") {
            const made = await w.create(now.who, now.to);
            assert.ok(now.who !== now.to || made === "conflict");
            if (refused.includes(made)) continue;
            known.push(made);
            holders.set(made, [now.who, now.to]);
          } else if (now.do === "take") await w.take(now.who);
          else if (now.do === "pass") clock.pass(limits.task.lineageMs / 2);
          else if (now.do === "restart") {
            await w.store.close();
            w = await open(path, clock, ++run);
          } else {
            const act = { handoff: () => w.handOff(now.who, id, now.to), update: () => w.update(now.who, id) };
            const got = now.do === "finish" ? await w.finish(now.who, id) : await act[now.do]();
            const may = before?.assignee === now.who && ["assigned", "working", "blocked"].includes(before.state);
            if (!may) assert.ok(refused.includes(got), `${now.do} by ${now.who}: ${got}`);
            else if (now.do !== "handoff") assert.equal(got, id);
            else if (holders.get(id)?.includes(now.to)) assert.equal(got, "conflict");
            else if (got === id) holders.get(id)?.push(now.to);
          }
          for (const each of known) {
            const row = w.store.query.tasks.get("default", each);
            assert.equal(row?.assignee, holders.get(each)?.at(-1));
            assert.equal(row?.state, w.store.query.tasks.steps(each).at(-1)?.state);
          }
        }
        // Along the parents nobody comes twice.
        for (const each of known) {
          const row = w.store.query.tasks.get("default", each);
          const chain = [...(JSON.parse(row?.chain ?? "[]") as string[]), row?.assignee];
          assert.equal(new Set(chain).size, chain.length, chain.join());
          assert.ok((row?.depth ?? 0) < names.length);
        }
      } finally {
        await w.store.close();
      }
    }),
    { seed: 71, numRuns: 60 },
  );
});
