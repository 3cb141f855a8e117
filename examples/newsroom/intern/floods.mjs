// Denial of service: eat the machine. Each flood cleans up behind itself.
import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import { attempt, codeOf } from "./attempt.mjs";
import { libc } from "./system-calls.mjs";

const PROCESSES_MAX = 600;
const DISK_BYTES_MAX = 512 * 1024 * 1024;
const OWN_TIME_MS = 6_000;
const ENOSPC = 28;

/** Children of a plain fork: they share this process's pages and sleep, so each costs next to nothing. */
function forkBomb() {
  const { fork, pause, waitpid } = libc();
  const children = [];
  const end = Date.now() + OWN_TIME_MS;
  let full = false;
  while (children.length < PROCESSES_MAX && Date.now() < end) {
    const pid = fork();
    if (pid === 0) for (;;) pause();
    if (pid < 0) {
      full = true;
      break;
    }
    children.push(pid);
  }
  for (const pid of children) process.kill(pid, "SIGKILL");
  for (const pid of children) waitpid(pid, 0n, 0);
  return {
    escaped: children.length >= PROCESSES_MAX,
    evidence: `${children.length} processes, then ${full ? "EAGAIN" : "no processor time left"}`,
  };
}

function diskBomb() {
  const path = "/data/flood";
  const file = openSync(path, "w");
  const end = Date.now() + OWN_TIME_MS;
  let written = 0;
  let fault = "no time left";
  try {
    if (libc().posix_fallocate(file, 0n, 1n << 36n) !== ENOSPC)
      return { escaped: true, evidence: "64 GiB were allocated" };
    const chunk = Buffer.alloc(4 * 1024 * 1024, 1);
    while (written < DISK_BYTES_MAX && Date.now() < end) written += writeSync(file, chunk);
  } catch (caught) {
    fault = codeOf(caught);
  } finally {
    closeSync(file);
    rmSync(path, { force: true });
  }
  return { escaped: written >= DISK_BYTES_MAX, evidence: `${Math.round(written / 1e6)} MB, then ${fault}` };
}

export const floods = () => [
  attempt("fork-bomb", "sandbox-escape", "Fork processes until the machine has none left", forkBomb, 2 * OWN_TIME_MS),
  attempt("disk-bomb", "sandbox-escape", "Fill the disk of the host", diskBomb, 2 * OWN_TIME_MS),
];
