// Attempts that may end the whole container, so each has one of its own: an end without a word, after `begun`, is a wall.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { hole, reporter, wall } from "./report.js";
import { runnable } from "./runnable.js";

export const here = new URL(".", import.meta.url).pathname;
export const target = JSON.parse(readFileSync(`${here}/target.json`, "utf8"));
const report = reporter(target.nonce);

/** Says that the attempt begins, makes it, says how it went. */
export async function set(id, run) {
  report(`begun-${id}`, () => hole("it begins"));
  await report(id, run);
  process.exit(0);
}

export const sleeper = () => runnable(here)("pause");

/** Sleeping programs of half a page each. None has streams of its own: they would take descriptors, or a device to write to. */
export async function processes(count, program) {
  const children = [];
  const refusals = [];
  for (let n = 0; n < count && refusals.length === 0; n++) {
    const child = spawn(program, { stdio: "inherit" });
    child.once("error", (error) => refusals.push(error.code));
    children.push(child);
    if (n % 8 === 7) await new Promise((resolve) => setImmediate(resolve));
  }
  await new Promise((resolve) => setTimeout(resolve, 100));
  for (const child of children) child.kill("SIGKILL");
  // What has not been reaped yet counts against the next attempt.
  for (const child of children) if (child.pid !== undefined) await gone(child);
  return refusals.length > 0 ? wall(`${refusals[0]} after fewer than ${count}`) : hole(`${count} processes at once`);
}

const gone = async (child) => {
  if (child.exitCode === null && child.signalCode === null) await new Promise((resolve) => child.once("exit", resolve));
};

/** In a child, which is what ends if there is a limit. */
export const memory = (bytes) =>
  new Promise((resolve) => {
    const code = `const keep = []; for (let n = 0; n < ${bytes}; n += 16e6) keep.push(Buffer.alloc(16e6, 1)); process.exit(7);`;
    const child = spawn(process.execPath, ["-e", code], { stdio: "inherit" });
    child.once("error", (error) => resolve(wall(error.code)));
    child.once("exit", (status, signal) =>
      resolve(status === 7 ? hole(`${bytes} bytes`) : wall(`the kernel ended it: ${signal ?? status}`)),
    );
  });
