import assert from "node:assert/strict";
import type { Desk } from "../../user/cli/desk-client.ts";

/** The worst that was ever seen of each budget, by one who looks from outside while the fleet works. */
export interface BudgetObserver {
  /** That no cap was ever passed, several budgets were seen, and `used` (`SCOPE WINDOW UNIT`) came near its own. */
  assertHeld(used: string): void;
  end(): Promise<void>;
}

const PAUSE_MS = 5;

export function observeBudgets(desk: Desk): BudgetObserver {
  const worst = new Map<string, number>();
  const ending = new AbortController();
  let samples = 0;
  const watch = async (): Promise<void> => {
    while (!ending.signal.aborted) {
      for (const line of (await desk.costs()).lines) {
        if (line.cap === null) continue;
        const name = `${line.scope} ${line.window} ${line.unit}`;
        worst.set(name, Math.max(worst.get(name) ?? 0, (line.settled + line.reserved) / line.cap));
      }
      samples++;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  };
  const watching = watch();
  return {
    assertHeld(used) {
      assert.ok(samples > 20, `${samples} samples`);
      assert.ok(worst.size >= 3, "several budgets were watched");
      for (const [name, share] of worst) assert.ok(share <= 1, `${name} reached ${share} of its cap`);
      assert.ok((worst.get(used) ?? 0) > 0.9, "the cap was really used");
    },
    async end() {
      ending.abort();
      await watching;
    },
  };
}
