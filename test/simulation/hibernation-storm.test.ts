/** Ten thousand agents are written to at once: all are served, in order, few at a time, and never more than may be awake. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { limits } from "../../protocol/limits.ts";
import type { AgentRunner } from "../../mesh/fleet/agent-runner.ts";
import { Hibernation } from "../../mesh/fleet/hibernation.ts";
import { SimulatedClock } from "./world.ts";

const AGENTS = 10_000;
const AWAKE_MAX = 50;
const START_MS = 150;
const WORK_MS = 40;

/** An agent that takes a while to start, answers what has come, and is idle from then on. */
class Actor {
  readonly setting: { readonly name: string; readonly hibernateAfterMs: number };
  readonly #world: World;
  phase = "asleep";
  isWanted = true;
  messages = 0;
  #idleSinceMs = 0;

  constructor(name: string, world: World) {
    this.setting = { name, hibernateAfterMs: 600_000 };
    this.#world = world;
  }

  idleForMs(): number {
    return this.phase === "running" && this.messages === 0 ? this.#world.clock.monotonicMs() - this.#idleSinceMs : 0;
  }

  start(): Promise<void> {
    this.phase = "starting";
    this.#world.woken.push(this.setting.name);
    this.#world.measure();
    const fromMs = this.#world.clock.monotonicMs();
    return new Promise((resolve) => {
      this.#world.later(START_MS, () => {
        this.phase = "running";
        this.#world.startingMs += this.#world.clock.monotonicMs() - fromMs;
        resolve();
        this.#world.later(WORK_MS, () => {
          this.messages = 0;
          this.#idleSinceMs = this.#world.clock.monotonicMs();
        });
      });
    });
  }

  stop(): Promise<void> {
    this.phase = "asleep";
    return Promise.resolve();
  }
}

class World {
  readonly clock = new SimulatedClock("2026-01-01T00:00Z");
  readonly actors = new Map<string, Actor>();
  readonly woken: string[] = [];
  readonly #due: { readonly atMs: number; readonly act: () => void }[] = [];
  awakeMost = 0;
  startingMost = 0;
  /** Times of all starts together. */
  startingMs = 0;

  later(ms: number, act: () => void): void {
    this.#due.push({ atMs: this.clock.monotonicMs() + ms, act });
  }

  measure(): void {
    let [awake, starting] = [0, 0];
    for (const { phase } of this.actors.values()) {
      if (phase !== "asleep") awake++;
      if (phase === "starting") starting++;
    }
    this.awakeMost = Math.max(this.awakeMost, awake);
    this.startingMost = Math.max(this.startingMost, starting);
  }

  async pass(ms: number): Promise<void> {
    this.clock.pass(ms);
    const nowMs = this.clock.monotonicMs();
    for (const item of this.#due.filter(({ atMs }) => atMs <= nowMs)) {
      this.#due.splice(this.#due.indexOf(item), 1);
      item.act();
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function scene(agents: number, cores: number): { readonly world: World; readonly hibernation: Hibernation } {
  const world = new World();
  for (let n = 0; n < agents; n++) world.actors.set(`a${n}`, new Actor(`a${n}`, world));
  const runnerOf = (agent: string): AgentRunner => world.actors.get(agent) as unknown as AgentRunner;
  const hibernation = new Hibernation({
    clock: world.clock,
    awakeMax: AWAKE_MAX,
    cores,
    runners: () => world.actors.values() as unknown as Iterable<AgentRunner>,
    runner: runnerOf,
    depth: (agent) => world.actors.get(agent)?.messages ?? 0,
  });
  return { world, hibernation };
}

test("a storm of ten thousand wake-ups", async () => {
  const { world, hibernation } = scene(AGENTS, 4);
  for (const [name, actor] of world.actors) {
    actor.messages = 1;
    hibernation.wake(name);
    // Another message for the same agent must not make it wait, or wake, twice.
    hibernation.wake(name);
  }
  for (let step = 0; world.woken.length < AGENTS && step < 50_000; step++) {
    await world.pass(limits.hibernation.pressedLookMs);
    // As `run` does, without its own clock.
    if (step % 5 === 0) await hibernation.look();
  }
  assert.equal(world.woken.length, AGENTS);
  assert.deepEqual(world.woken, [...world.actors.keys()], "first come, first served, and nobody twice");
  assert.ok(world.startingMost <= limits.hibernation.agentsWakingMax, `${world.startingMost} were starting at once`);
  assert.ok(
    world.awakeMost <= AWAKE_MAX && world.awakeMost > limits.hibernation.agentsWakingMax,
    `${world.awakeMost} awake`,
  );
});

test("a storm leaves a core, and half of the time of the other, to those who are awake", async () => {
  const { world, hibernation } = scene(40, 2);
  for (const name of world.actors.keys()) hibernation.wake(name);
  const fromMs = world.clock.monotonicMs();
  // Until so few wait that it is no storm any more.
  while (world.woken.length <= 40 - limits.hibernation.stormAgentsMin) await world.pass(10);
  const share = world.startingMs / (world.clock.monotonicMs() - fromMs);
  assert.ok(share > 0.4 && share <= 0.55, `${share} of a core`);
  // The first is let in before anybody knows that more come.
  assert.ok(world.startingMost <= limits.hibernation.agentsWakingMax);
});

test("a storm rests longer while the mesh is late for its turns, and no longer once it is not", async () => {
  const wokenWithin = async (steps: readonly number[]): Promise<number> => {
    const { world, hibernation } = scene(400, 2);
    const end = new AbortController();
    for (const [name, actor] of world.actors) {
      actor.messages = 1;
      hibernation.wake(name);
    }
    const running = hibernation.run(end.signal);
    for (const stepMs of steps) await world.pass(stepMs);
    end.abort();
    await running;
    return world.woken.length;
  };
  const [inTime, late] = [Array<number>(4_000).fill(10), Array<number>(1_000).fill(40)];
  const calm = await wokenWithin(inTime);
  assert.ok(calm > 100, `${calm} in forty seconds`);
  const hurried = await wokenWithin(late);
  assert.ok(hurried < calm * 0.7, `${hurried} of ${calm} while it is late`);
  const both = await wokenWithin([...late, ...inTime]);
  assert.ok(both - hurried > calm * 0.8, `${both - hurried} of ${calm} after it was late`);
});

test("a few are woken without a rest", async () => {
  const { world, hibernation } = scene(limits.hibernation.stormAgentsMin, 2);
  for (const name of world.actors.keys()) hibernation.wake(name);
  const turns = Math.ceil(limits.hibernation.stormAgentsMin / limits.hibernation.agentsWakingMax);
  for (let ms = 0; ms < turns * (START_MS + 10); ms += 10) await world.pass(10);
  assert.equal(world.woken.length, limits.hibernation.stormAgentsMin);
  assert.ok(world.startingMs > 0 && [...world.actors.values()].every(({ phase }) => phase === "running"));
});
