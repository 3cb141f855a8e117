import { connect } from "node:net";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { deskFiles } from "../../protocol/desk.ts";
import { codeOf } from "./failure.ts";

/** In the state folder: the process that `up` started. Only ever used to wait for its end, never to end it. */
const PID_FILE = "mesh.pid";

export const notePid = (state: string, pid: number): Promise<void> =>
  writeFile(join(state, PID_FILE), `${pid}\n`, { mode: 0o600 });

/** With `pid`, only the note of that process: it may be another mesh that runs there. */
export async function forgetPid(state: string, pid?: number): Promise<void> {
  if (pid === undefined || (await notedPid(state)) === pid) await rm(join(state, PID_FILE), { force: true });
}

export async function notedPid(state: string): Promise<number | undefined> {
  const text = await readFile(join(state, PID_FILE), "utf8").catch(() => "");
  return /^\d{1,10}\n$/.test(text) && Number(text) >= 2 ? Number(text) : undefined;
}

/** True when no desk accepts a connection on this state and the process that `up` noted is no more. */
export async function meshIsGone(state: string): Promise<boolean> {
  return !(await deskAccepts(state)) && !(await notedProcessLives(state));
}

export function deskAccepts(state: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(join(state, deskFiles.socket));
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

async function notedProcessLives(state: string): Promise<boolean> {
  const pid = await notedPid(state);
  if (pid === undefined) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    return codeOf(error) === "EPERM";
  }
  return looksLikeMesh(pid, state);
}

/** A process id can come back as another program; where the system tells, its command line decides. */
async function looksLikeMesh(pid: number, state: string): Promise<boolean> {
  const commandLine = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => undefined);
  if (commandLine === undefined) return process.platform !== "linux";
  const words = commandLine.split("\0");
  return words.includes("serve") && words.includes(state);
}
