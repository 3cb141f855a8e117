// What every guest shares: it knows its environment variables, and tells on standard output what it found.
import { writeSync } from "node:fs";

export const MODEL = "rehearsal/weather";
export const QUESTION = "What is the weather in Paris?";

/** Runs each step by itself, so that one that fails does not hide the others; then stays, as agents do. */
export async function run(sdk, steps) {
  for (const [step, act] of Object.entries(steps)) {
    const found = await act().catch((error) => ({
      error: String(error.message ?? error).slice(0, 600),
      status: error.status ?? error.statusCode ?? null,
    }));
    writeSync(1, `${JSON.stringify({ kind: "step", sdk, step, ...found })}\n`);
  }
  writeSync(1, `${JSON.stringify({ kind: "done", sdk })}\n`);
  setInterval(() => {}, 1e6);
}
