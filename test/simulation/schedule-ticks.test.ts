/** The scheduler on a clock that is moved, with crashes: each tick once, missed ones as the job says, nothing spent in vain. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Blackboard } from "../../mesh/blackboard/blackboard.ts";
import { Inboxes } from "../../mesh/bus/inboxes.ts";
import { Topics } from "../../mesh/bus/topics.ts";
import { parseFleet } from "../../mesh/config/parse.ts";
import { readJob } from "../../mesh/schedule/form.ts";
import { dueMs, dueTicks, type Job } from "../../mesh/schedule/job.ts";
import { Scheduler } from "../../mesh/schedule/scheduler.ts";
import { messageTrigger } from "../../mesh/schedule/trigger.ts";
import { unlabelled } from "../../protocol/label.ts";
import { limits } from "../../protocol/limits.ts";
import { auditKeys, countingIds, noCaps, openCore, SimulatedClock, stateFolder } from "./world.ts";

const MINUTE = 60_000;
const keys = auditKeys();
const message = { to: "a", body: "go" };

function job(form: object): Job {
  const read = readJob(
    "j",
    { every: MINUTE, message, ...form },
    {
      timeZone: "UTC",
      agents: new Set(["a"]),
    },
  );
  assert.ok(read.ok);
  return read.value.job;
}

async function open(path: string, clock: SimulatedClock, jobs: readonly Job[], run = 0) {
  const { store, audit } = await openCore({ path, clock, keys, caps: () => noCaps, run });
  const inboxes = new Inboxes(store, clock, countingIds(run));
  const topics = new Topics(store, clock, countingIds(run));
  const disk = { free: 100 };
  const page: { digest: string | null } = { digest: "one" };
  const parts = {
    jobs,
    store,
    audit,
    clock,
    inboxes,
    topics,
    monitor: { emit: () => {} },
    freeBytes: () => disk.free,
    urlDigest: () => Promise.resolve(page.digest),
  };
  const scheduler = new Scheduler({ ...parts, trigger: messageTrigger(inboxes, store) });
  await scheduler.begin();
  const ticks = () =>
    store.query.schedule
      .ticks("default", "j", 1_000)
      .toReversed()
      .filter(({ outcome }) => outcome !== "first_seen");
  const outcomes = (): string[] => ticks().map(({ outcome }) => outcome);
  const close = async (): Promise<void> => {
    await audit.close();
    await store.close();
  };
  const settleAll = async (): Promise<void> => {
    for (const { id } of store.query.messages.queued("default", "a", 0, 500)) {
      const settled = inboxes.settle("a", id);
      await store.commit(settled.writes);
      settled.done();
    }
  };
  return {
    store,
    inboxes,
    topics,
    scheduler,
    disk,
    page,
    ticks,
    outcomes,
    close,
    settleAll,
    board: new Blackboard(store, clock),
  };
}

test("each tick fires once, whatever restarts and wherever the clock jumps; a firing and its message are one", async (t) => {
  const step = fc.oneof(
    fc.record({ do: fc.constant("pass" as const), ms: fc.integer({ min: 1, max: 5 * MINUTE }) }),
    fc.record({ do: fc.constant("jump" as const), ms: fc.integer({ min: -30 * MINUTE, max: 30 * MINUTE }) }),
    fc.record({ do: fc.constant("restart" as const) }),
    fc.record({ do: fc.constant("fire" as const) }),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 30 }),
      fc.constantFrom("skip", "once", "all"),
      fc.nat(90_000),
      async (steps, missed, jitterMs) => {
        const path = stateFolder(t);
        const clock = new SimulatedClock("2026-01-01T00:00:30Z");
        const jobs = [{ ...job({ missed, overlap: "allow" }), jitterMs }];
        let run = 0;
        let world = await open(path, clock, jobs, run);
        for (const now of [...steps, { do: "fire" } as const]) {
          if (now.do === "pass") clock.pass(now.ms);
          else if (now.do === "jump") clock.jumpTo(clock.nowMs() + now.ms);
          else if (now.do === "restart") {
            await world.close();
            world = await open(path, clock, jobs, ++run);
          } else await world.scheduler.fire();
        }
        const rows = world.ticks();
        const fired = rows.filter(({ outcome }) => outcome === "fired");
        assert.equal(new Set(rows.map(({ tickMs }) => tickMs)).size, rows.length);
        for (const { tickMs } of rows) assert.equal(tickMs % MINUTE, 0);
        assert.equal(world.store.query.messages.queued("default", "a", 0, 500).length, fired.length);
        assert.equal(new Set(fired.map(({ caused }) => caused)).size, fired.length);
        await world.close();
      },
    ),
    { seed: 41, numRuns: 60 },
  );
});

test("missed ticks: skipped, made up for once, or all of them up to a bound", async (t) => {
  for (const [missed, expected] of [
    ["skip", { fired: 0, missed: limits.schedule.ticksCaughtUpMax }],
    ["once", { fired: 1, missed: limits.schedule.ticksCaughtUpMax - 1 }],
    ["all", { fired: limits.schedule.ticksCaughtUpMax, missed: 0 }],
  ] as const) {
    const clock = new SimulatedClock("2026-01-01T00:00Z");
    const world = await open(stateFolder(t), clock, [job({ every: 10 * MINUTE, missed, overlap: "allow" })]);
    clock.pass(365 * 24 * 60 * MINUTE + 5 * MINUTE);
    await world.scheduler.fire();
    const count = (outcome: string): number => world.outcomes().filter((one) => one === outcome).length;
    assert.deepEqual({ fired: count("fired"), missed: count("missed") }, expected);
    // The newest of them, and nothing twice.
    assert.equal(world.ticks().at(-1)?.tickMs, Math.floor(clock.nowMs() / (10 * MINUTE)) * 10 * MINUTE);
    await world.scheduler.fire();
    assert.equal(world.outcomes().length, limits.schedule.ticksCaughtUpMax);
    await world.close();
  }
});

test("overlap: while the agent works on the last one, the next is left out, also over a restart", async (t) => {
  const path = stateFolder(t);
  const clock = new SimulatedClock("2026-01-01T00:00Z");
  let world = await open(path, clock, [job({})]);
  const tick = async (): Promise<void> => {
    clock.pass(MINUTE);
    await world.scheduler.fire();
  };
  await tick();
  await tick();
  await world.close();
  world = await open(path, clock, [job({})], 1);
  await tick();
  await world.settleAll();
  await tick();
  assert.deepEqual(world.outcomes(), ["fired", "overlapped", "overlapped", "fired"]);
  await world.close();
});

test("probes: no message where there is nothing to do", async (t) => {
  const run = async (
    probe: object,
    cause: (world: Awaited<ReturnType<typeof open>>) => Promise<void>,
  ): Promise<string[]> => {
    const clock = new SimulatedClock("2026-01-01T00:00Z");
    const world = await open(stateFolder(t), clock, [job({ probe, overlap: "allow" })]);
    for (const before of [undefined, cause, undefined]) {
      await before?.(world);
      clock.pass(MINUTE);
      await world.scheduler.fire();
    }
    const outcomes = world.outcomes();
    await world.close();
    return outcomes;
  };
  const write =
    (key: string) =>
    async ({ board, store }: Awaited<ReturnType<typeof open>>) => {
      const made = board.prepare({
        key,
        value: "1",
        ifVersion: undefined,
        ttlSeconds: undefined,
        writer: "w",
        session: "s",
        label: unlabelled,
      });
      assert.ok(made.ok);
      await store.commit(made.value.writes);
      made.value.done();
    };
  assert.deepEqual(await run({ board: "in/*" }, write("in/x")), ["idle", "fired", "idle"]);
  assert.deepEqual(await run({ board: "in/*" }, write("out/x")), ["idle", "idle", "idle"]);
  assert.deepEqual(
    await run({ topic: "t" }, async ({ topics, store }) => {
      const made = topics.publish({ topic: "t", sender: "agent:b", session: "s", body: "x", label: unlabelled });
      assert.ok(made.ok);
      await store.commit(made.value.writes);
    }),
    ["idle", "fired", "idle"],
  );
  assert.deepEqual(await run({ disk_below: 50 }, async ({ disk }) => void (disk.free = 49)), [
    "idle",
    "fired",
    "fired",
  ]);
  const url = "https://news.test/";
  assert.deepEqual(await run({ url }, async ({ page }) => void (page.digest = "two")), ["idle", "fired", "idle"]);
  assert.deepEqual(await run({ url }, async ({ page }) => void (page.digest = null)), ["idle", "idle", "idle"]);
});

test("what an address answered is known after a restart, and after it was not there", async (t) => {
  const path = stateFolder(t);
  const clock = new SimulatedClock("2026-01-01T00:00Z");
  const outcomes: string[][] = [];
  for (const [opening, digests] of [
    ["one", null, "one"],
    ["one", "two", "two"],
  ].entries()) {
    const world = await open(path, clock, [job({ probe: { url: "https://news.test/" }, overlap: "allow" })], opening);
    for (const digest of digests) {
      world.page.digest = digest;
      clock.pass(MINUTE);
      await world.scheduler.fire();
    }
    outcomes.push(world.outcomes());
    await world.close();
  }
  assert.deepEqual(outcomes.at(-1), ["idle", "idle", "idle", "idle", "fired", "idle"]);
});

test("jitter is the same for a tick at every start, and stays below its bound", () => {
  const jittered = { ...job({}), jitterMs: 30_000 };
  const delays = Array.from({ length: 500 }, (_, n) => dueMs(jittered, n * MINUTE) - n * MINUTE);
  assert.ok(delays.every((ms) => ms >= 0 && ms < 30_000));
  assert.ok(new Set(delays).size > 400);
  assert.deepEqual(
    delays.slice(0, 5),
    Array.from({ length: 5 }, (_, n) => dueMs(jittered, n * MINUTE) - n * MINUTE),
  );
});

test("a year without the mesh is caught up with in a moment", () => {
  const cron = job({ every: undefined, cron: "* * * * *" });
  const now = Date.parse("2027-01-01T00:00Z");
  const ticks = dueTicks(cron, Date.parse("2020-01-01T00:00Z"), now);
  assert.deepEqual([ticks.length, ticks.at(-1)], [limits.schedule.ticksCaughtUpMax, now]);
});

test("hole: cron `*/0` kills the scheduler — malformed and extreme schedules are refused at load, with line and fix", () => {
  const faultsOf = (entry: string): string => {
    const text = `version: 1\nfleet: f\ndefaults: { model: rehearsal/echo }\nagents: { a: { command: [/a] } }\nschedule:\n  j: { ${entry}, message: { to: a, body: x } }\n`;
    const parsed = parseFleet(text, "/");
    return parsed.ok ? "" : parsed.error.map(({ line, message: text, fix }) => `${line}: ${text}: ${fix}`).join("\n");
  };
  for (const [entry, expected] of [
    ['cron: "*/0 * * * *"', /^6: minute `\*\/0`: a step of 0 never ends.*: use five fields/],
    ['cron: "* * * * * *"', /^6: has 6 fields/],
    ['cron: "0 0 30 2 *"', /^6: names a day that never comes/],
    ["every: 1s", /^6: an interval is refused: use `10s`/],
    ["every: 0s", /^6: an interval is refused/],
    ["every: 86ms", /^6: an interval is refused/],
    ['at: "9999-01-01T00:00"', /^6: .*out of range: use a date/],
    ['at: "2026-02-30T00:00"', /^6: .*not a point in time/],
    ['cron: "0 7 * * *", time_zone: Mars/Base', /^6: `Mars\/Base` is not a time zone/],
    ['cron: "0 7 * * *", every: 1h', /^6: a job has one of/],
    ["jitter: 2h, every: 1d", /^6: .*at most `1h`/],
    ["every: 1h, probe: { inbox: a, topic: t }", /^6: 2 probes/],
    ["every: 1h, probe: { url: 'ftp://x' }", /must be an http or https address/],
  ] as const) {
    assert.match(faultsOf(entry), expected, entry);
  }
  assert.equal(
    faultsOf('cron: "0 7 * * 1-5", time_zone: Europe/Berlin, missed: skip, jitter: 30s, probe: { board: in/** }'),
    "",
  );
  const many = Array.from({ length: 800 }, (_, n) => `  j${n}: { every: 10m, message: { to: a, body: x } }`).join("\n");
  const parsed = parseFleet(
    `version: 1\nfleet: f\ndefaults: { model: rehearsal/echo }\nagents: { a: { command: [/a] } }\nschedule:\n${many}\n`,
    "/",
  );
  assert.ok(!parsed.ok && /fires \d+ times a day/.test(parsed.error[0]?.message ?? ""));
});
