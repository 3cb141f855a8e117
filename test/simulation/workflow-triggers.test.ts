/** A tick that starts a run, with a crash at every write: one run for each tick, whatever happens. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Topics } from "../../mesh/bus/topics.ts";
import { readJob } from "../../mesh/schedule/form.ts";
import { Scheduler } from "../../mesh/schedule/scheduler.ts";
import { workflowTrigger } from "../../mesh/schedule/trigger.ts";
import type { FaultPoint } from "../../mesh/store/batch.ts";
import { SimulatedCrash } from "../../mesh/store/inline.ts";
import { defaultTenant } from "../../mesh/store/statements.ts";
import type { Plan } from "../../mesh/workflow/definition.ts";
import { planOf, workflows } from "./workflow-plans.ts";
import { openWorkflows, until, Upstream, type WorkflowWorld } from "./workflow-world.ts";
import { countingIds, SimulatedClock } from "./world.ts";

const FILE = "/workflows/chain.yaml";
const chain = workflows["chain"] ?? assert.fail();
const plans = new Map<string, Plan>([[FILE, planOf(chain.workflow)]]);

function jobOf(more: object = {}) {
  const form = { every: 60_000, workflow: "chain.yaml", input: chain.input, overlap: "allow", missed: "all", ...more };
  const read = readJob("nightly", form as never, { timeZone: "UTC", agents: new Set(["scribe"]), workflow: FILE });
  assert.ok(read.ok, JSON.stringify(read));
  return read.value.job;
}

async function open(
  path: string,
  clock: SimulatedClock,
  opening: number,
  upstream: Upstream,
  faults: (point: FaultPoint) => void,
  more: object = {},
) {
  const world = await openWorkflows({ path, clock, opening, upstream, faults });
  const { store, audit, inboxes, engine } = world;
  const trigger = workflowTrigger({
    ...{ store, plans },
    prepareStart: (start) => {
      const prepared = engine.prepareStart(start);
      return prepared.ok
        ? { ok: true, value: { ...prepared.value, done: () => void prepared.value.done().catch(() => {}) } }
        : prepared;
    },
  });
  const scheduler = new Scheduler({
    ...{ store, audit, clock, inboxes, trigger, jobs: [jobOf(more)], monitor: { emit: () => {} } },
    ...{
      topics: new Topics(store, clock, countingIds(opening)),
      freeBytes: () => 1e9,
      urlDigest: () => Promise.resolve(null),
    },
  });
  return { world, scheduler };
}

const runsIn = ({ store }: WorkflowWorld) => store.query.workflow.newest(defaultTenant, 1e15, 100);
const ticksIn = ({ store }: WorkflowWorld) =>
  store.query.schedule.ticks(defaultTenant, "nightly", 100).filter(({ outcome }) => outcome === "fired");

/** The commits, and the writes of what makes a tick and a run. */
const counts = (point: FaultPoint): boolean =>
  point.at === "commit" ||
  (point.at === "write" && /^(?:schedule|workflow\.(?:insertRun|putPlan))/.test(point.statement));

/** Two ticks; the process dies at the `crashAt`-th point of the store, and another takes over. */
async function twoTicks(crashAt: number): Promise<number> {
  const path = mkdtempSync(join(tmpdir(), "cordon-trigger-"));
  const clock = new SimulatedClock("2026-11-22T10:00:00Z");
  const upstream = new Upstream();
  let points = 0;
  let world: WorkflowWorld | undefined;
  try {
    for (let opening = 0; opening < 2; opening++) {
      const death = new AbortController();
      const died = (): void => death.abort();
      const over = Promise.withResolvers<void>();
      death.signal.addEventListener("abort", () => over.resolve());
      const faults = (point: FaultPoint): void => {
        if (!counts(point) || points++ !== crashAt) return;
        died();
        throw new SimulatedCrash("here");
      };
      const opened = await open(path, clock, opening, upstream, faults);
      world = opened.world;
      const { engine } = world;
      // A process that is dead answers nothing, so nothing is waited for that it would have to say.
      (async () => {
        await engine.recover();
        await opened.scheduler.begin();
        for (let from = world ? ticksIn(world).length : 0; from < 2 && !death.signal.aborted; from++) {
          clock.pass(60_000);
          await opened.scheduler.fire();
        }
        await until(
          clock,
          () =>
            death.signal.aborted || (world ? runsIn(world).every(({ finishedAtMs }) => finishedAtMs !== null) : true),
        );
      })().then(over.resolve, died);
      await over.promise;
      if (!death.signal.aborted) break;
      world.stop();
      await world.store.close().catch(() => {});
    }
    assert.ok(world);
    const caused = ticksIn(world).map(({ caused: run }) => run);
    const runs = runsIn(world);
    assert.ok(caused.length >= 2, `${caused.length} ticks fired`);
    assert.deepEqual(
      caused.map(String).toSorted(),
      runs.map(({ id }) => id).toSorted(),
      "each tick has its run, each run its tick",
    );
    for (const { status, starter } of runs) assert.equal(`${status} ${starter}`, "succeeded schedule:nightly");
    return points;
  } finally {
    world?.stop();
    await world?.store.close().catch(() => {});
    rmSync(path, { recursive: true, force: true });
  }
}

test("a crash at every point: each tick has exactly one run, and each run ends", async (t) => {
  const points = await twoTicks(Infinity);
  assert.ok(points > 15, `${points} points`);
  for (let crashAt = 0; crashAt < points; crashAt++) await twoTicks(crashAt);
  t.diagnostic(`${points} crashes`);
});

test("the next tick is left out while the run of the last one goes on", async () => {
  const path = mkdtempSync(join(tmpdir(), "cordon-trigger-"));
  const clock = new SimulatedClock("2026-11-22T10:00:00Z");
  const { world, scheduler } = await open(path, clock, 0, new Upstream(), () => {}, { overlap: "skip" });
  try {
    await scheduler.begin();
    for (let n = 0; n < 3; n++) {
      // The agent has had no time to answer: only the run of the first tick is there.
      clock.pass(60_000);
      await scheduler.fire();
    }
    const outcomes = world.store.query.schedule.ticks(defaultTenant, "nightly", 10).map(({ outcome }) => outcome);
    assert.ok(outcomes.includes("fired") && outcomes.includes("overlapped"), outcomes.join(", "));
    await until(clock, () => runsIn(world).every(({ finishedAtMs }) => finishedAtMs !== null));
    clock.pass(60_000);
    await scheduler.fire();
    assert.equal(ticksIn(world).length, runsIn(world).length);
  } finally {
    world.stop();
    await world.store.close();
    rmSync(path, { recursive: true, force: true });
  }
});

test("an entry of the fleet file with faults is refused with its place", () => {
  const context = { timeZone: "UTC", agents: new Set(["scribe"]), workflow: FILE };
  const faultOf = (form: object): string => {
    const read = readJob("j", { every: 60_000, ...form }, context);
    return read.ok ? "" : `${read.error.at.join(".")}: ${read.error.message}`;
  };
  assert.equal(faultOf({}), ": an entry has one of `message` and `workflow`");
  assert.match(faultOf({ workflow: "a.yaml", message: { to: "scribe", body: "x" } }), /has one of/);
  assert.match(faultOf({ message: { to: "scribe", body: "x" }, input: {} }), /^input: `input` belongs to `workflow`/);
  assert.match(faultOf({ message: { to: "nobody", body: "x" } }), /^message.to: no agent `nobody`/);
  assert.match(faultOf({ workflow: "a.yaml", input: { a: "${{ body.x }}" } }), /^input: nothing comes with a tick/);
  assert.match(faultOf({ workflow: "a.yaml", input: { a: "${{ steps.x.output }}" } }), /^input: before a run/);
  assert.match(faultOf({ workflow: "a.yaml", input: { a: "${{ env.HOME }}" } }), /^input: /);
});
