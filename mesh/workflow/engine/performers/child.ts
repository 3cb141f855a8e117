import { joinLabels, type Label } from "../../../../protocol/label.ts";
import type { Json } from "../../../../lib/json.ts";
import { failure, type Job, type Performer, type Prepared } from "../job.ts";

/** What the engine offers to steps that run a workflow. */
export interface Children {
  /** A run of the workflow of `job`; `undefined` with a reason when its input does not fit. */
  prepare(job: Job): Prepared | ReturnType<typeof failure>;
  /** Resolves when the run has ended, also when it had before. */
  outcome(run: string, signal: AbortSignal): Promise<{ status: string; output: Json; label: Label; reason: string }>;
  cancel(run: string): void;
}

/** A run of its own, begun in the transaction that begins the step; its end is the step's. */
export function childWork(children: Children): Performer {
  return {
    prepare: (job) => children.prepare(job),
    async perform(job, signal) {
      if (!job.effect || !("run" in job.effect)) return failure("lost", "no run was recorded for this attempt");
      const ended = await children.outcome(job.effect.run, signal);
      if (ended.status !== "succeeded")
        return failure("work", `run \`${job.effect.run}\` ${ended.status}: ${ended.reason}`);
      return { ok: true, output: ended.output, label: joinLabels(job.label, ended.label) };
    },
    withdraw(job) {
      const { effect } = job;
      const done = (): void => {
        if (effect && "run" in effect) children.cancel(effect.run);
      };
      return { ok: true, writes: [], done };
    },
  };
}
