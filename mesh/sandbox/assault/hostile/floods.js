// What one container may take from all others. Each stops by itself at a bound that does a machine no harm.
import { spawn } from "node:child_process";
import fs from "node:fs";
import { hole, wall } from "./report.js";

const DISK_PLACES = ["/data", "/var/tmp", "/tmp", "/"];
const CHUNK_BYTES = 1024 * 1024;

/** Sleeping programs of half a page each. */
async function processes(count, program) {
  const children = [];
  const refusals = [];
  for (let n = 0; n < count && refusals.length === 0; n++) {
    const child = spawn(program, { stdio: "ignore" });
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
const memory = (bytes) =>
  new Promise((resolve) => {
    const code = `const keep = []; for (let n = 0; n < ${bytes}; n += 16e6) keep.push(Buffer.alloc(16e6, 1)); process.exit(7);`;
    const child = spawn(process.execPath, ["-e", code], { stdio: "ignore" });
    child.once("error", (error) => resolve(wall(error.code)));
    child.once("exit", (status, signal) =>
      resolve(status === 7 ? hole(`${bytes} bytes`) : wall(`the kernel ended it: ${signal ?? status}`)),
    );
  });

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

export async function tryFloods(report, { floods }, run) {
  report("flood-descriptors", () => descriptors(floods.descriptorsMax));
  report("flood-disk", () => disk(floods.diskBytesMax));
  await report("flood-processes", () => processes(floods.processCount, run("pause")));
  await report("flood-memory", () => memory(floods.memoryBytesMax));
}
