/** Every job of a large fleet is due on the same tick: each fires once, also over a crash, and nobody is starved by it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Inboxes } from "../../mesh/bus/inboxes.ts";
import { Topics } from "../../mesh/bus/topics.ts";
import { readJob } from "../../mesh/schedule/form.ts";
import { Scheduler } from "../../mesh/schedule/scheduler.ts";
import { messageTrigger } from "../../mesh/schedule/trigger.ts";
import type { FaultPoint } from "../../mesh/store/batch.ts";
import { SimulatedCrash } from "../../mesh/store/inline.ts";
import { defaultTenant } from "../../mesh/store/statements.ts";
import { limits } from "../../protocol/limits.ts";
import { auditKeys, countingIds, noCaps, openCore, SimulatedClock, stateFolder } from "./world.ts";

const HOUR = 3_600_000;
const JOBS = limits.schedule.jobsMax;
const AGENTS = 50;
const agents = Array.from({ length: AGENTS }, (_, n) => `a${n}`);
const keys = auditKeys();
const jobs = Array.from({ length: JOBS }, (_, n) => {
  const form = { cron: "0 * * * *", overlap: "allow" as const, message: { to: `a${n % AGENTS}`, body: `j${n}` } };
  const read = readJob(`j${n}`, form, { timeZone: "Europe/Berlin", agents: new Set(agents) });
  assert.ok(read.ok);
  return read.value.job;
});

async function open(path: string, clock: SimulatedClock, run: number, faults: (point: FaultPoint) => void = () => {}) {
  const { store, audit } = await openCore({ path, clock, keys, caps: () => noCaps, run, faults });
  const inboxes = new Inboxes(store, clock, countingIds(run));
  const scheduler = new Scheduler({
    ...{ jobs, store, audit, clock, inboxes, topics: new Topics(store, clock, countingIds(run)) },
    ...{ monitor: { emit: () => {} }, freeBytes: () => Infinity, urlDigest: () => Promise.resolve(null) },
    trigger: messageTrigger(inboxes, store),
  });
  await scheduler.begin();
  const fired = (): number[] =>
    jobs.map(
      ({ name }) =>
        store.query.schedule.ticks(defaultTenant, name, 100).filter(({ outcome }) => outcome === "fired").length,
    );
  const messages = (): string[] =>
    agents.flatMap((agent) => store.query.messages.queued(defaultTenant, agent, 0, JOBS).map(({ body }) => body));
  const close = async (): Promise<void> => {
    await audit.close();
    await store.close();
  };
  return { store, scheduler, fired, messages, close };
}

test(`${JOBS} jobs on one tick: each fires once, and what others have to do is done in between`, async (t) => {
  const clock = new SimulatedClock("2026-03-29T00:30:00Z");
  const { store, scheduler, fired, messages, close } = await open(stateFolder(t), clock, 0);
  await scheduler.fire();
  assert.equal(messages().length, 0);
  clock.pass(HOUR);
  const storming = { now: true };
  const storm = scheduler.fire().then(() => (storming.now = false));
  // Somebody else, who needs the event loop and the disk.
  let [turns, commits] = [0, 0];
  const others = (async () => {
    for (; storming.now; commits += storming.now ? 1 : 0)
      await store.commit([["workflow.markEffect", "other", `${commits}`, "{}"]]);
  })();
  for (; storming.now; turns++) await new Promise((resolve) => setImmediate(resolve));
  await Promise.all([storm, others]);
  t.diagnostic(`${turns} turns and ${commits} commits of others meanwhile`);
  assert.ok(turns >= JOBS / limits.schedule.jobsPerTurnMax && commits >= 2, `${turns} turns, ${commits} commits`);
  assert.deepEqual(new Set(fired()), new Set([1]));
  assert.deepEqual(messages().toSorted(), jobs.map(({ name }) => name).toSorted());
  await scheduler.fire();
  assert.equal(messages().length, JOBS, "a tick that has fired is over");
  await close();
});

test("a crash in the middle of it repeats no firing and loses none", async (t) => {
  const clock = new SimulatedClock("2026-03-29T00:30:00Z");
  const path = stateFolder(t);
  let ticks = 0;
  let crashes = 0;
  await (await open(path, clock, 0)).close();
  clock.pass(HOUR);
  for (let run = 1; ; run++) {
    const life = { left: 150 + 97 * run, over: false };
    const world = await open(path, clock, run, (point) => {
      if (point.at === "write" && point.statement === "schedule.insertTick" && life.left-- === 0)
        throw new SimulatedCrash();
    });
    ticks = world.fired().filter((count) => count === 1).length;
    void world.scheduler.fire().then(() => (life.over = true));
    // Nothing is told of a crash that is simulated: what waits for the disk waits for ever.
    while (!life.over && life.left >= 0) await new Promise((resolve) => setImmediate(resolve));
    if (life.over) {
      assert.deepEqual(new Set(world.fired()), new Set([1]));
      assert.deepEqual(world.messages().toSorted(), jobs.map(({ name }) => name).toSorted());
      await world.close();
      break;
    }
    crashes++;
  }
  t.diagnostic(`${crashes} crashes, the last with ${ticks} jobs fired`);
  assert.ok(crashes >= 2 && ticks > 0, `${crashes} crashes, ${ticks} jobs fired before the last`);
});
