import { writeSync } from "node:fs";

/** Standard output may be a pipe that others read slowly: try again instead of losing the line. */
function print(line) {
  const bytes = Buffer.from(`${JSON.stringify(line)}\n`);
  for (let at = 0, tries = 0; at < bytes.length && tries < 2_000; tries++) {
    try {
      at += writeSync(1, bytes, at);
    } catch (error) {
      if (error.code !== "EAGAIN") return;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}

/** `stopped: false` is a hole, for a control that it worked. A throw is a wall, its code the evidence. */
export const reporter =
  (nonce) =>
  (id, run, ...more) => {
    const say = ({ stopped, by }) => print({ cordon: nonce, id, stopped, by: String(by).slice(0, 300) });
    const wall = (error) => say({ stopped: true, by: error?.code ?? error?.message ?? String(error) });
    try {
      const outcome = run(...more);
      if (typeof outcome?.then === "function") return outcome.then(say, wall);
      say(outcome);
    } catch (error) {
      wall(error);
    }
    return undefined;
  };

/** Every variant is tried; one that is not stopped is a hole. */
export function every(items, run) {
  const results = items.map((item) => {
    try {
      return run(item);
    } catch (error) {
      return { stopped: true, by: error?.code ?? error?.message ?? String(error) };
    }
  });
  return judge(results);
}

export const everyAsync = async (items, run) =>
  judge(
    await Promise.all(
      items.map((item) =>
        run(item).catch((error) => ({ stopped: true, by: error?.code ?? error?.message ?? String(error) })),
      ),
    ),
  );

function judge(results) {
  if (results.length === 0) return { stopped: true, by: "nothing of the kind is here" };
  const holes = results.filter(({ stopped }) => !stopped);
  const words = [...new Set((holes.length > 0 ? holes : results).map(({ by }) => by))];
  return { stopped: holes.length === 0, by: words.slice(0, 6).join(", ") };
}

export const hole = (by) => ({ stopped: false, by });
export const wall = (by) => ({ stopped: true, by });
