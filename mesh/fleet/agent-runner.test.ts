/** Start, stop, sleep and halt at the same moment, on sandboxes whose end the test holds back. */
import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";
import { systemClock as clock, type Clock } from "../../lib/clock.ts";
import { randomId } from "../../lib/id.ts";
import type { AgentSetting } from "../config/fleet.ts";
import { Monitor } from "../monitor/monitor.ts";
import { SandboxError, type Sandbox, type SandboxBackend, type SandboxEvent } from "../sandbox/backend.ts";
import { AgentRunner } from "./agent-runner.ts";
import { Hibernation } from "./hibernation.ts";
import { LogBook } from "./log-book.ts";

/** Sandboxes that end when `ends` says so; `stuck` ones leave something behind. */
class Backend implements SandboxBackend {
  readonly name = "test";
  readonly ends = { gate: Promise.resolve(), stuck: false };
  running = 0;
  mostRunning = 0;
  /** Starts that fail before one succeeds. */
  refusals = 0;

  shortfalls = (): Promise<[]> => Promise.resolve([]);
  sweep = (): Promise<[]> => Promise.resolve([]);
  eraseVolume = (): Promise<void> => Promise.resolve();
  start = ({ id }: { readonly id: string }): Promise<Sandbox> => {
    if (this.refusals > 0) return Promise.reject(new SandboxError(`no room, ${this.refusals--} times more`, "wait"));
    this.mostRunning = Math.max(this.mostRunning, ++this.running);
    const listeners: ((event: SandboxEvent) => void)[] = [];
    let gone: Promise<void> | undefined;
    const end = async (): Promise<void> => {
      await this.ends.gate;
      this.running--;
      for (const tell of listeners) tell({ type: "exited", cause: "stopped", exitCode: 0, signal: null });
      if (this.ends.stuck) throw new SandboxError(`sandbox \`${id}\` leaves a mount`, "unmount it");
    };
    return Promise.resolve({
      id,
      output: Readable.from([]),
      onEvent: (listener) => void listeners.push(listener),
      usage: () => Promise.reject(new Error("not measured")),
      exec: () => Promise.reject(new Error("not here")),
      stop: () => (gone ??= end()),
    });
  };
}

function scene(now: Clock = clock) {
  const backend = new Backend();
  const idle = { ms: 600_000 };
  const setting = { name: "a", isolation: "container", code: null, hibernateAfterMs: 0 } as unknown as AgentSetting;
  const runner = new AgentRunner({
    ...{ setting, agentId: "agt_1", generation: 0, clock: now, ids: randomId, backend },
    audit: { record: () => Promise.resolve() },
    monitor: new Monitor(clock),
    logs: new LogBook("unused"),
    makeDoor: () => ({ listen: () => Promise.resolve(), idleForMs: () => idle.ms, close: () => Promise.resolve() }),
    onStart: () => undefined,
  });
  const hold = (): (() => void) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    backend.ends.gate = promise;
    return resolve;
  };
  const hibernation = new Hibernation({
    ...{ clock, awakeMax: Infinity, depth: () => 0 },
    runners: () => [runner],
    runner: () => runner,
  });
  return { backend, runner, hold, hibernation, idle };
}

async function started(runner: AgentRunner): Promise<void> {
  while (runner.phase !== "running") await clock.sleep(1);
}

/** Fails where it would wait for ever, long before the run of all tests does. */
async function within<T>(what: string, promise: Promise<T>): Promise<T> {
  const late = new AbortController();
  const over = clock.sleep(8_000, late.signal).then(
    () => assert.fail(`${what} never ends`),
    () => new Promise<never>(() => {}),
  );
  return Promise.race([promise, over]).finally(() => late.abort());
}

test("a start while it is being stopped is another life: both end, one sandbox at a time, the last word holds", async () => {
  const { backend, runner, hold } = scene();
  await runner.start();
  const release = hold();
  const stopping = runner.stop("stopped", "by the operator");
  const starting = runner.start();
  release();
  await within("the stop", stopping);
  await within("the start", starting);
  assert.deepEqual([runner.phase, runner.isWanted, backend.running, backend.mostRunning], ["running", true, 1, 1]);
  await within("the last stop", runner.stop("stopped", "by the operator"));
  assert.deepEqual([runner.phase, backend.running], ["stopped", 0]);
});

test("a start that is taken back before it has begun ends, too", async () => {
  const { backend, runner } = scene();
  const starting = runner.start();
  await within("the stop", runner.stop("stopped", "by the operator"));
  await within("the start", starting);
  assert.deepEqual([runner.phase, backend.running], ["stopped", 0]);
});

test("who is being stopped by an operator is not put to sleep: a message would wake it again", async () => {
  const { runner, hold, hibernation } = scene();
  await runner.start();
  const release = hold();
  const stopping = runner.stop("stopped", "by the operator");
  const look = hibernation.look();
  release();
  await within("both", Promise.all([stopping, look]));
  assert.equal(runner.phase, "stopped");
});

test("what comes for one that is awake and does not look, or falls asleep, wakes it; what it has seen does not", async () => {
  for (const moment of ["before", "while"] as const) {
    const { runner, hold, hibernation, idle } = scene();
    await runner.start();
    if (moment === "before") hibernation.wake("a");
    const release = hold();
    const look = hibernation.look();
    if (moment === "while") hibernation.wake("a");
    release();
    await within("the look", look);
    // A start says that it is running a moment after it was asked to.
    assert.ok(runner.isWanted, moment);
    await within("the waking", started(runner));
    assert.deepEqual([runner.phase, runner.generation], ["running", 2], moment);
    hibernation.wake("a");
    await clock.sleep(5);
    idle.ms = 0;
    await within("the last look", hibernation.look());
    assert.equal(runner.phase, "asleep", "its door was used after that");
  }
});

test("an operator's start and stop while it falls asleep have the last word, and the looks go on", async () => {
  for (const [asked, phase] of [
    ["start", "running"],
    ["stop", "stopped"],
  ] as const) {
    const { runner, hold, hibernation } = scene();
    await runner.start();
    const release = hold();
    const look = hibernation.look();
    const done = asked === "start" ? runner.start() : runner.stop("stopped", "by the operator");
    release();
    await within(`the look at the ${asked}`, look);
    await within(`the ${asked}`, done);
    assert.equal(runner.phase, phase);
    await runner.stop("stopped", "the end");
  }
});

test("a sandbox that cannot be removed does not end the looks, and can be woken", async () => {
  const { backend, runner, hibernation } = scene();
  await runner.start();
  backend.ends.stuck = true;
  await within("the look", hibernation.look());
  assert.equal(runner.phase, "asleep");
  backend.ends.stuck = false;
  await within("the start", runner.start());
  assert.equal(runner.phase, "running");
  await runner.stop("stopped", "the end");
});

test("a sandbox that could not be built is tried again by itself, at longer and longer intervals; a stop ends that", async () => {
  const pauses: number[] = [];
  let pass = Promise.withResolvers<void>();
  const sleep: Clock["sleep"] = (ms, signal) => {
    pauses.push(ms);
    return Promise.race([pass.promise, clock.sleep(60_000, signal)]);
  };
  const { backend, runner } = scene({ ...clock, sleep });
  const next = async (): Promise<void> => {
    const { resolve } = pass;
    pass = Promise.withResolvers<void>();
    resolve();
    await clock.sleep(1);
  };
  backend.refusals = 9;
  await within("the first start", runner.start());
  assert.deepEqual([runner.phase, runner.reason], ["failed", "no room, 9 times more: wait"]);
  for (let n = 0; n < 7; n++) await next();
  assert.deepEqual([runner.phase, runner.reason], ["failed", "no room, 2 times more: wait"]);
  assert.deepEqual(pauses, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
  // Who asks for it does not wait for the next time, and is told how it went.
  await within("a start by the operator", runner.start());
  assert.deepEqual([runner.phase, runner.reason], ["failed", "no room, 1 times more: wait"]);
  await next();
  await within("the start", started(runner));
  assert.deepEqual([backend.running, backend.mostRunning, runner.restarts], [1, 1, 0]);
  await within("the stop", runner.stop("stopped", "the end"));
  backend.refusals = 3;
  await within("a start", runner.start());
  await within("the last stop", runner.stop("stopped", "the end"));
  await next();
  assert.deepEqual([runner.phase, backend.running, backend.refusals], ["stopped", 0, 2]);
});
