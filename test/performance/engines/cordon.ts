/** Cordon's engine on its own store, with its audit: no-op steps, each with its events on disk before the next begins. */
import { systemClock as clock } from "../../../lib/clock.ts";
import { randomId as ids } from "../../../lib/id.ts";
import { createAudit } from "../../../mesh/audit/create.ts";
import { openStore } from "../../../mesh/store/open.ts";
import { WorkflowEngine } from "../../../mesh/workflow/engine/engine.ts";
import { nothingToPrepare, type Performer } from "../../../mesh/workflow/engine/job.ts";
import { language } from "../../../mesh/workflow/engine/workflow-language.ts";
import { unlabelled } from "../../../protocol/label.ts";
import { auditKeys } from "../../simulation/world.ts";
import { constant, outputWrite, planOf, step, workflow } from "../../simulation/workflow-plans.ts";

/** One engine under measurement; `run` resolves when every step of the workflow is on disk. */
export interface Engine {
  run(kind: "chain" | "fan"): Promise<void>;
  close(): Promise<void>;
}

const noop: Performer = {
  prepare: () => nothingToPrepare,
  perform: () => Promise.resolve({ ok: true, output: null, label: unlabelled }),
};

export async function open(path: string, steps: number): Promise<Engine> {
  const made = (kind: "chain" | "fan") =>
    planOf(
      workflow(
        kind,
        Array.from({ length: steps }, (_, n) =>
          step(`s${n}`, kind === "fan" || n === 0 ? [] : [`s${n - 1}`], outputWrite("a", constant(""))),
        ),
        constant(null),
      ),
    );
  const plans = { chain: made("chain"), fan: made("fan") };
  const store = await openStore({ path });
  const audit = createAudit({ store, clock, ...auditKeys() });
  const engine = new WorkflowEngine({
    ...{ store, audit, clock, ids, language, monitor: { emit: () => {} } },
    ledger: { openScope: () => {}, closeScope: () => {} },
    performers: { agent: noop, tool: noop, board: noop },
  });
  return {
    async run(kind) {
      const started = await engine.start({ plan: plans[kind], input: {}, label: unlabelled, by: "principal:bench" });
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
