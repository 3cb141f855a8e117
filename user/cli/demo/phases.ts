import { formatDuration } from "../../../lib/units.ts";
import type { Context } from "../command.ts";
import { tint } from "../line.ts";
import type { Phase } from "./report.ts";

/** Says what is going on, and how long each part took. */
export class Phases {
  readonly finished: Phase[] = [];
  readonly #context: Pick<Context, "terminal" | "clock">;
  #open: { readonly name: string; readonly startMs: number } | undefined;

  constructor(context: Pick<Context, "terminal" | "clock">) {
    this.#context = context;
  }

  begin(name: string): void {
    this.end();
    this.#open = { name, startMs: this.#context.clock.monotonicMs() };
    this.#context.terminal.note([tint("accent", "▸ "), name]);
  }

  end(): void {
    if (!this.#open) return;
    const ms = Math.round(this.#context.clock.monotonicMs() - this.#open.startMs);
    this.finished.push({ name: this.#open.name, ms });
    this.#context.terminal.note(tint("faint", `  ${formatDuration(ms)}`));
    this.#open = undefined;
  }
}
