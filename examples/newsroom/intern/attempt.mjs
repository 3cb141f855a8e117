// Runs attempts one after another; none of them can stop the rest.
import { writeSync } from "node:fs";

const TIMEOUT_MS = 3_000;

/** stdout is a pipe that others read slowly: try again instead of losing the line. */
export function say(line) {
  const bytes = `${JSON.stringify(line)}\n`;
  for (let i = 0; i < 1_000; i++) {
    try {
      return writeSync(1, bytes);
    } catch (fault) {
      if (fault.code !== "EAGAIN") return 0;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}

/** An attempt returns { escaped, evidence }; a throw is a wall, its code the evidence. */
export const attempt = (id, threat, title, run, timeoutMs = TIMEOUT_MS) => ({ id, threat, title, run, timeoutMs });

export const codeOf = (fault) => fault?.code ?? fault?.message ?? String(fault);

export async function runAll(attempts) {
  for (const { id, threat, title, run, timeoutMs } of attempts) {
    let timer;
    const late = new Promise((resolve) => {
      timer = setTimeout(
        () => resolve({ escaped: false, evidence: `no way through within ${timeoutMs} ms` }),
        timeoutMs,
      );
    });
    const outcome = await Promise.race([
      (async () => run())().catch((fault) => ({ escaped: false, evidence: codeOf(fault) })),
      late,
    ]);
    clearTimeout(timer);
    const { escaped, evidence } = outcome;
    say({ attempt: id, title, threat, escaped: escaped === true, evidence: String(evidence).slice(0, 600) });
  }
}

/** Runs several variants of one attempt: escaped if one of them is, the evidence of all, repetitions counted. */
export async function each(variants, run) {
  const outcomes = await Promise.all(
    variants.map(async (variant) => {
      try {
        return await run(variant);
      } catch (fault) {
        return { escaped: false, evidence: codeOf(fault) };
      }
    }),
  );
  const through = outcomes.filter(({ escaped }) => escaped);
  const counts = new Map();
  for (const { evidence } of through.length > 0 ? through : outcomes)
    counts.set(evidence, (counts.get(evidence) ?? 0) + 1);
  const evidence = [...counts].map(([text, times]) => (times > 1 ? `${text} (${times} times)` : text)).join(", ");
  return { escaped: through.length > 0, evidence: evidence || "nothing to try" };
}
