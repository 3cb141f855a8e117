/**
 * Cordon's engine on its own store, with its audit: no-op steps, each with its events in the journal. A run has ended when
 * all of them are on disk.
 */
import { mkdirSync } from "node:fs";
import { systemClock as clock } from "../../../lib/clock.ts";
import { randomId as ids } from "../../../lib/id.ts";
import type { Audit } from "../../../mesh/audit/audit.ts";
import { createAudit } from "../../../mesh/audit/create.ts";
import { openWriter } from "../../../mesh/store/connection.ts";
import { openStore } from "../../../mesh/store/open.ts";
import { WorkflowEngine } from "../../../mesh/workflow/engine/engine.ts";
import { nothingToPrepare, type Performer } from "../../../mesh/workflow/engine/job.ts";
import { language } from "../../../mesh/workflow/engine/workflow-language.ts";
import { unlabelled } from "../../../protocol/label.ts";
import { auditKeys } from "../../simulation/world.ts";
import { constant, outputWrite, planOf, step, workflow } from "../../simulation/workflow-plans.ts";

/** One engine under measurement; `run` resolves when every step of the workflow is on disk. */
export interface Engine {
  /** What is synced when, as its database says. */
  policy(): Promise<string>;
  run(kind: "chain" | "fan"): Promise<void>;
  close(): Promise<void>;
}

/**
 * What a step is to the engine. `inner`: it can touch nothing but the store, so it does not wait for its own start;
 * `row`: the same, and it leaves a row that it waits for; `outer`: it could reach anything, so it begins when its start is
 * on disk, as each step of the other engines begins when the one before it is.
 */
export type StepKind = "inner" | "row" | "outer";

function performerOf(kind: StepKind, audit: Audit): Performer {
  return {
    prepare: () => nothingToPrepare,
    staysInStore: () => kind !== "outer",
    async perform(job) {
      const event = { kind: "decision", subject: "mesh", detail: {} };
      if (kind === "row") await audit.record(event, [["workflow.markEffect", job.run, job.task, "{}"]]);
      return { ok: true, output: null, label: unlabelled };
    },
  };
}

export async function open(path: string, steps: number, kind: StepKind): Promise<Engine> {
  const made = (shape: "chain" | "fan") =>
    planOf(
      workflow(
        shape,
        Array.from({ length: steps }, (_, n) =>
          step(`s${n}`, shape === "fan" || n === 0 ? [] : [`s${n - 1}`], outputWrite("a", constant(""))),
        ),
        constant(null),
      ),
    );
  const plans = { chain: made("chain"), fan: made("fan") };
  const store = await openStore({ path });
  const audit = createAudit({ store, clock, ...auditKeys() });
  const noop = performerOf(kind, audit);
  const engine = new WorkflowEngine({
    ...{ store, audit, clock, ids, language, monitor: { emit: () => {} } },
    ledger: { openScope: () => {}, closeScope: () => {} },
    performers: { agent: noop, tool: noop, board: noop, topic: noop },
  });
  return {
    async policy() {
      // A connection of another state, opened as that of the writer thread was.
      const folder = `${path}-policy`;
      mkdirSync(folder);
      const db = openWriter(folder);
      const pragma = (name: string): string => String(Object.values(db.prepare(`PRAGMA ${name}`).get() ?? {})[0]);
      const policy = `journal_mode ${pragma("journal_mode")}, synchronous ${pragma("synchronous")}`;
      db.close();
      return policy;
    },
    async run(shape) {
      const started = await engine.start({ plan: plans[shape], input: {}, label: unlabelled, by: "principal:bench" });
      if (!started.ok) throw new Error(started.error.reason);
      const ended = await engine.outcome(started.value.run, new AbortController().signal);
      if (ended.status !== "succeeded") throw new Error(ended.reason);
    },
    async close() {
      engine.close();
      await audit.close();
      await store.close();
    },
  };
}
