/** A fleet of 50 agents and runs of random graphs, from a seed: agents fail, the process dies, the clock jumps. `CORDON_SEEDS=1000` for more. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { Step, Workflow } from "../../mesh/workflow/definition.ts";
import { SimulatedCrash } from "../../mesh/store/inline.ts";
import { defaultTenant } from "../../mesh/store/statements.ts";
import { readJournal, readPlan } from "../../mesh/workflow/engine/journal.ts";
import { replay } from "../../mesh/workflow/engine/replay.ts";
import { language } from "../../mesh/workflow/engine/workflow-language.ts";
import { unlabelled } from "../../protocol/label.ts";
import { SimulatedClock } from "./world.ts";
import { boardWrite, constant, planOf, step, task, text, workflow } from "./workflow-plans.ts";
import { openWorkflows, until, Upstream, type WorkflowWorld } from "./workflow-world.ts";

const seeds = Number(process.env["CORDON_SEEDS"] ?? 100);
/** Seeds beyond the default that have shown a fault once. */
const FOUND = [107, 139];
const agents = Array.from({ length: 50 }, (_, n) => `agent-${n}`);

/** Mulberry32. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return Math.floor((((value ^ (value >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

function randomWorkflow(name: string, draw: (below: number) => number): Workflow {
  const steps: Step[] = [];
  for (let n = 0; n < 3 + draw(6); n++) {
    const needs = [...new Set(steps.filter(() => draw(3) === 0).map(({ id }) => id))];
    const join = [
      { kind: "all" },
      { kind: "any" },
      { kind: "n", n: Math.max(1, needs.length - 1) },
      { kind: "settled" },
    ] as const;
    const retry = { attempts: 1 + draw(3), backoffMs: 200, backoffMsMax: 2_000, jitter: 0.5 };
    const work =
      draw(3) === 0
        ? boardWrite(constant(`${name}/s${n}`), constant("x"))
        : task({ kind: "agent", agent: agents[draw(agents.length)] ?? "", task: text(`${name} s${n}`) }, constant({}), {
            retry,
            timeoutMs: 20_000,
          });
    const more = {
      join: join[draw(join.length)] ?? join[0],
      onError: { kind: draw(2) === 0 ? "skip" : "fail" } as const,
      priority: draw(5),
    };
    steps.push(step(`s${n}`, needs, work, more));
  }
  return workflow(name, steps, constant("done"), { timeoutMs: 3_600_000 });
}

async function simulate(seed: number): Promise<{ readonly crashes: number; readonly statuses: readonly string[] }> {
  const draw = random(seed);
  const path = mkdtempSync(join(tmpdir(), "cordon-fleet-"));
  const clock = new SimulatedClock("2026-11-22T10:00:00Z");
  const upstream = new Upstream();
  const plans = Array.from({ length: 6 }, (_, n) => planOf(randomWorkflow(`w${n}`, draw)));
  let crashes = 0;
  let world: WorkflowWorld | undefined;
  try {
    for (let opening = 0; opening < 6; opening++) {
      let dead = false;
      let left = opening < 4 ? 5 + draw(120) : Infinity;
      const faults = (): void => {
        if (left-- > 0) return;
        dead = true;
        crashes++;
        throw new SimulatedCrash("here");
      };
      const answer = (): string | undefined => (draw(5) === 0 ? undefined : "ok");
      world = await openWorkflows({
        ...{ path, clock, opening, upstream, faults, answer, agents },
        worksMax: 4 + draw(60),
      });
      const { engine, store } = world;
      await Promise.race([engine.recover(), until(clock, () => dead, 5)]).catch(() => {});
      const started = dead ? [] : plans.splice(0, 1 + draw(3)).concat(opening === 5 ? plans.splice(0) : []);
      const starts = started.map((plan) =>
        engine.start({ plan, input: {}, label: unlabelled, by: "principal:operator" }),
      );
      // What is not there yet is not over.
      let begun = false;
      void Promise.allSettled(starts).then(() => (begun = true));
      if (draw(3) === 0) clock.jumpTo(clock.nowMs() - draw(100_000));
      await until(clock, () => dead || (begun && store.query.workflow.open(defaultTenant).length === 0), 800);
      world.stop();
      if (!dead && opening >= 4) break;
      await store.close();
    }
    assert.ok(world);
    return { crashes, statuses: check(world) };
  } finally {
    await world?.store.close();
    rmSync(path, { recursive: true, force: true });
  }
}

/** Every run has ended as its plan says, once, and left nothing behind. */
function check({ store }: WorkflowWorld): string[] {
  const runs = store.query.workflow.newest(defaultTenant, 1e15, 100);
  for (const { id, plan, status } of runs) {
    assert.notEqual(status, "running", `${id} has ended`);
    const journal = readJournal(store, id);
    const known = readPlan(store, plan);
    assert.ok(known.ok);
    const verdict = replay(known.value, journal, language);
    assert.ok(verdict.ok, JSON.stringify(verdict));
    const done = journal.flatMap(({ event }) => (event.kind === "step.succeeded" ? [event.task] : []));
    assert.equal(new Set(done).size, done.length, "no committed step runs again");
  }
  for (const name of agents)
    assert.equal(store.query.messages.queuedCount(defaultTenant, name), 0, "no message is left");
  return runs.map(({ status }) => status);
}

test(`${seeds} fleets of 50 agents with faults from a seed`, async (t) => {
  let crashes = 0;
  const statuses = new Map<string, number>();
  for (const seed of [...FOUND, ...Array.from({ length: seeds }, (_, n) => n + 1)]) {
    const found = await simulate(seed).catch((error: unknown) => assert.fail(`seed ${seed}: ${String(error)}`));
    crashes += found.crashes;
    for (const status of found.statuses) statuses.set(status, (statuses.get(status) ?? 0) + 1);
  }
  assert.ok(crashes > seeds && (statuses.get("succeeded") ?? 0) > seeds, "there is something to survive");
  t.diagnostic(`${crashes} crashes; ${JSON.stringify(Object.fromEntries(statuses))}`);
});
