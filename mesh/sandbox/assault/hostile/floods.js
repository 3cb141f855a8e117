// What one container may take from all others. Each stops by itself at a bound that does a machine no harm.
// Those that may end the whole container stand in bombs.js.
import fs from "node:fs";
import os from "node:os";
import { Worker } from "node:worker_threads";
import { hole, wall } from "./report.js";

const DISK_PLACES = ["/data", "/var/tmp", "/tmp", "/"];
const CHUNK_BYTES = 1024 * 1024;

function disk(bytes) {
  const place = DISK_PLACES.find((folder) => {
    try {
      fs.writeFileSync(`${folder}/cordon-flood`, "", { flag: "wx" });
      return true;
    } catch {
      return false;
    }
  });
  if (place === undefined) return wall("nothing can be written");
  const path = `${place}/cordon-flood`;
  const fd = fs.openSync(path, "w");
  try {
    const chunk = Buffer.alloc(CHUNK_BYTES, 1);
    for (let n = 0; n < bytes;) n += fs.writeSync(fd, chunk);
    return hole(`${bytes} bytes in ${place}`);
  } finally {
    fs.closeSync(fd);
    fs.rmSync(path);
  }
}

function descriptors(count) {
  const open = [];
  try {
    for (let n = 0; n < count; n++) open.push(fs.openSync("/dev/null"));
    return hole(`${count} files open`);
  } finally {
    for (const fd of open) fs.closeSync(fd);
  }
}

/**
 * Spins on every processor, in threads, and looks at what it was given of them. Others on the machine make that less, so
 * the greatest share of several windows counts.
 */
async function processor({ threadsMax, windowMs, windows, shareMax }) {
  const count = Math.min(threadsMax, os.availableParallelism());
  const resourceLimits = { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 1 };
  const threads = Array.from({ length: count }, () => new Worker("for (;;);", { eval: true, resourceLimits }));
  for (const thread of threads) thread.on("error", () => undefined);
  await Promise.all(
    threads.map((thread) => new Promise((resolve) => thread.once("online", resolve).once("exit", resolve))),
  );
  let most = 0;
  // The first one is not counted: a container may be given more at its start.
  for (let n = 0; n <= windows && most <= count * shareMax; n++) {
    const [used, from] = [process.cpuUsage(), performance.now()];
    await new Promise((resolve) => setTimeout(resolve, windowMs));
    const { user, system } = process.cpuUsage(used);
    if (n > 0) most = Math.max(most, (user + system) / 1000 / (performance.now() - from));
  }
  await Promise.all(threads.map((thread) => thread.terminate()));
  const told = `${most.toFixed(2)} of ${count} processors`;
  return most > count * shareMax ? hole(told) : wall(`held to ${told}`);
}

/** Lines without end: whoever takes all of them keeps them, or works for them. */
function lines({ bytesMax, ms }) {
  const chunk = Buffer.from(`${"x".repeat(1_023)}\n`.repeat(32));
  const end = performance.now() + ms;
  let bytes = 0;
  while (bytes < bytesMax && performance.now() < end) bytes += taken(chunk);
  // What was cut inside a line must not swallow the report.
  while (taken(Buffer.from("\n")) === 0);
  return bytes < bytesMax ? wall(`${bytes} bytes in ${ms} ms: it was held back`) : hole(`${bytes} bytes were taken`);
}

/** How much of it was written: nothing, after a moment, while the pipe is full. */
function taken(chunk) {
  try {
    return fs.writeSync(1, chunk);
  } catch (error) {
    if (error.code !== "EAGAIN") throw error;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    return 0;
  }
}

export async function tryFloods(report, { floods }) {
  report("flood-descriptors", () => descriptors(floods.descriptorsMax));
  report("flood-disk", () => disk(floods.diskBytesMax));
  await report("flood-processor", () => processor(floods.processor));
  report("flood-log", () => lines(floods.log));
}
