import { createBatchRunner, type FaultPoint } from "./batch.ts";
import { openWriter } from "./connection.ts";
import { classify } from "./failure.ts";
import type { Executor, GroupCommit } from "./group-commit.ts";

/** Thrown by a fault hook: the process is dead at this point. Nothing is answered any more. */
export class SimulatedCrash extends Error {
  override readonly name = "SimulatedCrash";
}

/** The writer on the caller's thread, for simulations: the same transactions, with a hook at every point of each. */
export function inlineWriter(
  folder: string,
  reach: (point: FaultPoint) => void,
  onCrash: () => void,
): (group: GroupCommit) => Executor {
  const db = openWriter(folder);
  const run = createBatchRunner(db, reach);
  let dead = false;
  const end = (): void => {
    dead = true;
    db.close();
  };
  return (group) => ({
    run: (writes, upTo) => {
      if (dead) return;
      try {
        if (writes.length > 0) run(writes);
        group.acknowledge(upTo);
      } catch (error) {
        end();
        if (error instanceof SimulatedCrash) onCrash();
        else group.fail(classify(error, folder));
      }
    },
    close: () => {
      if (!dead) end();
      return Promise.resolve();
    },
  });
}
