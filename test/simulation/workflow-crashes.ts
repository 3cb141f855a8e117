/** One run whose process dies at a point of the store, and what it must leave all the same. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Json } from "../../lib/json.ts";
import { SimulatedCrash } from "../../mesh/store/inline.ts";
import type { FaultPoint } from "../../mesh/store/batch.ts";
import { defaultTenant } from "../../mesh/store/statements.ts";
import type { Plan } from "../../mesh/workflow/definition.ts";
import type { WorkflowEngine } from "../../mesh/workflow/engine/engine.ts";
import type { Entry } from "../../mesh/workflow/engine/event.ts";
import { readJournal } from "../../mesh/workflow/engine/journal.ts";
import { unlabelled } from "../../protocol/label.ts";
import { SimulatedClock } from "./world.ts";
import { openWorkflows, until, Upstream, type WorkflowWorld, type WorldParts } from "./workflow-world.ts";

const counts = (point: FaultPoint): boolean =>
  point.at === "commit" ||
  point.at === "acknowledge" ||
  (point.at === "write" && point.statement.startsWith("workflow."));

/** What must be the same, wherever the process died. */
interface Traces {
  readonly status: string;
  readonly output: unknown;
  readonly board: readonly string[];
  readonly messages: number;
  /** First and last position of each: a second publication would be one more. */
  readonly topics: readonly string[];
  readonly upstream: readonly string[];
  readonly succeeded: readonly string[];
}

/** One run of a plan, and the world that it happens in. */
export interface Scene {
  readonly plan: Plan;
  readonly input: Json;
  readonly world?: Pick<WorldParts, "matrix" | "texts" | "agents" | "answer">;
}

interface Crashed {
  readonly points: number;
  readonly traces: Traces;
  readonly journal: readonly Entry[];
}

/** One run from start to end; the process dies at the `crashAt`-th point, and another takes over. */
export async function runWith({ plan, input, world: parts = {} }: Scene, crashAt: number): Promise<Crashed> {
  const path = mkdtempSync(join(tmpdir(), "cordon-crash-"));
  const clock = new SimulatedClock("2026-11-22T10:00:00Z");
  const upstream = new Upstream();
  let points = 0;
  let dead = false;
  let world: WorkflowWorld | undefined;
  try {
    const faults = (point: FaultPoint): void => {
      if (!counts(point) || points++ !== crashAt) return;
      dead = true;
      throw new SimulatedCrash("here");
    };
    world = await openWorkflows({ ...parts, path, clock, opening: 0, upstream, faults });
    const asked = { plan, input, label: unlabelled, by: "principal:operator" };
    let run: string | undefined;
    const { engine } = world;
    void engine.start(asked).then(
      (started) => (run = started.ok ? started.value.run : undefined),
      () => {},
    );
    await until(clock, () => {
      approveAll(engine);
      return dead || (run !== undefined && engine.state(run) === undefined);
    });
    if (dead) {
      world.stop();
      await world.store.close();
      world = await openWorkflows({ ...parts, path, clock, opening: 1, upstream });
      await world.engine.recover();
      const known = world.store.query.workflow.newest(defaultTenant, 1e15, 10).find(({ parent }) => parent === null);
      // It died before the start was acknowledged, and nothing of it is there: whoever asked asks again.
      const again = known ? undefined : await world.engine.start(asked);
      run = known?.id ?? (again?.ok ? again.value.run : undefined);
      const after = world.engine;
      await until(clock, () => {
        approveAll(after);
        return after.state(run ?? "") === undefined;
      });
    }
    const journal = readJournal(world.store, run ?? "");
    return { points, traces: tracesOf(world, journal, upstream, run ?? ""), journal };
  } finally {
    world?.stop();
    await world?.store.close();
    rmSync(path, { recursive: true, force: true });
  }
}

/** A person who says yes to whatever is asked. */
function approveAll(engine: WorkflowEngine): void {
  const person = { name: "editor", has: () => true };
  for (const { run, task, hash } of engine.approvals())
    engine.answer(run, { task, hash, approved: true }, person).catch(() => {});
}

/** Another process may have had to begin another run: its name is the only thing that may differ. */
function tracesOf({ store, board }: WorkflowWorld, journal: readonly Entry[], upstream: Upstream, run: string): Traces {
  const nameless = <T>(value: T): T => JSON.parse(JSON.stringify(value).replaceAll(run, "RUN")) as T;
  const last = journal.at(-1)?.event;
  assert.equal(last?.kind, "run.finished", "the run has ended");
  const succeeded = journal.flatMap(({ event }) => (event.kind === "step.succeeded" ? [event.task] : []));
  assert.equal(new Set(succeeded).size, succeeded.length, "no committed step runs again");
  // A second version of a key would be a second write of it.
  const keys = board.list("**", () => true).map(({ key, version, value }) => `${key} v${version} ${value}`);
  return nameless({
    ...{ status: last.status, output: last.output, board: keys, succeeded: succeeded.toSorted() },
    messages: store.query.messages.queued(defaultTenant, "scribe", 0, 1_000).length,
    topics: store.query.topics.extents(defaultTenant).map(({ topic, first, last }) => `${topic} ${first}-${last}`),
    upstream: [...upstream.effects.values()].toSorted(),
  });
}
