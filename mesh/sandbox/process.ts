/** Runs the few host programs that a fence needs: fixed argument vectors, no shell, bounded output and time. */
import { spawn, type StdioOptions } from "node:child_process";
import type { Readable } from "node:stream";
import { limits } from "../../protocol/limits.ts";
import type { Clock } from "../../lib/clock.ts";

/** Where host programs are looked for; the caller's PATH plays no part. */
export const SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const OUTPUT_BYTES_MAX = 64 * 1024;
/** A background child may hold the pipe open after the program itself has ended. */
const LINGER_MS = 200;

export interface Finished {
  /** Exit code; 128 + signal number is not computed: a signal gives 255, a time-out 124. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly truncated: boolean;
}

export interface RunOptions {
  readonly clock: Clock;
  readonly timeoutMs?: number;
  readonly outputBytesMax?: number;
  /** File descriptors for standard output and error instead of collecting them. */
  readonly outputFd?: number;
  /** Called before the program is killed for taking too long. */
  readonly onTimeout?: () => void;
}

/** Never throws for what the program does; rejects only if it cannot be started at all. */
export function runProgram(file: string, args: readonly string[], options: RunOptions): Promise<Finished> {
  const bytesMax = options.outputBytesMax ?? OUTPUT_BYTES_MAX;
  const out = options.outputFd ?? "pipe";
  const stdio: StdioOptions = ["ignore", out, out];
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio, env: { PATH: SYSTEM_PATH, LC_ALL: "C" }, cwd: "/" });
    const stdout = collect(child.stdout, bytesMax);
    const stderr = collect(child.stderr, bytesMax);
    const timer = new AbortController();
    let timedOut = false;
    let exitCode = 255;
    const finish = (): void => {
      timer.abort();
      child.stdout?.destroy();
      child.stderr?.destroy();
      resolve({
        code: timedOut ? 124 : exitCode,
        stdout: stdout.text(),
        stderr: stderr.text(),
        truncated: timedOut || stdout.truncated() || stderr.truncated(),
      });
    };
    options.clock.sleep(options.timeoutMs ?? limits.sandbox.toolTimeoutMs, timer.signal).then(
      () => {
        timedOut = true;
        options.onTimeout?.();
        child.kill("SIGKILL");
      },
      () => undefined,
    );
    child.once("error", (error) => {
      timer.abort();
      reject(error);
    });
    child.once("close", finish);
    child.once("exit", (code) => {
      exitCode = code ?? 255;
      options.clock.sleep(LINGER_MS, timer.signal).then(finish, () => undefined);
    });
  });
}

/** Starts a program whose output is read as it comes. `ended` is its exit code, 255 for a signal or a program that is not there. */
export function startProgram(
  file: string,
  args: readonly string[],
): { readonly output: Readable; readonly ended: Promise<number>; kill(): void } {
  const options = { env: { PATH: SYSTEM_PATH, LC_ALL: "C" }, cwd: "/" };
  const child = spawn(file, args, { ...options, stdio: ["ignore", "pipe", "ignore"] });
  const ended = new Promise<number>((resolve) => {
    child.once("error", () => resolve(255));
    child.once("close", (code) => resolve(code ?? 255));
  });
  return { output: child.stdout, ended, kill: () => void child.kill("SIGKILL") };
}

/** Keeps the first `bytesMax` bytes and lets the rest fall, so that the program never blocks on us. */
function collect(stream: Readable | null, bytesMax: number): { text(): string; truncated(): boolean } {
  const chunks: Buffer[] = [];
  let bytes = 0;
  let cut = false;
  stream?.on("data", (chunk: Buffer) => {
    const room = bytesMax - bytes;
    if (chunk.length > room) cut = true;
    if (room > 0) chunks.push(chunk.subarray(0, room));
    bytes += Math.min(room, chunk.length);
  });
  stream?.on("error", () => undefined);
  return { text: () => Buffer.concat(chunks).toString("utf8"), truncated: () => cut };
}
