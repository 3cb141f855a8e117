/**
 * Knows how sandboxes end. A detached container is nobody's child, so its exit status goes to whoever is the nearest
 * subreaper: one small process of ours for all sandboxes (reaper.pl), through which runtimes are started. It mounts, too.
 * What it tells is for people; nothing that an agent is permitted hangs on it.
 */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { constants } from "node:os";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { assert } from "../../lib/assert.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Exit } from "./backend.ts";
import { SYSTEM_PATH } from "./process.ts";

const SCRIPT = fileURLToPath(new URL("reaper.pl", import.meta.url));
/** Ends of processes that nobody has asked for yet; of a sandbox there is one. */
const ENDS_MAX = 4_096;
/** How long the word of an end may be on its way after the end itself was seen. */
const WORD_MS = 1_000;

interface Reaping {
  readonly child: ChildProcessByStdio<Writable, Readable, null>;
  readonly runs: Map<string, (status: number) => void>;
  /** Host pid → status, oldest first. */
  readonly ends: Map<number, number>;
  readonly waiting: Map<number, (status: number) => void>;
}

let current: Reaping | null = null;
let tokens = 0;

interface Bounds {
  readonly clock: Clock;
  readonly timeoutMs: number;
}

/**
 * Runs a runtime whose output goes to the file `output`; returns its exit code, 124 when its time was up. `patient`: others may
 * have the processor first.
 */
export async function runReaped(
  file: string,
  args: readonly string[],
  { output, patient = false, ...bounds }: Bounds & { readonly output: string; readonly patient?: boolean },
): Promise<number> {
  return request(patient ? "N" : "S", [output, file, ...args], bounds);
}

/** Flags of mount(2). */
export const mountFlags = { ro: 1, nosuid: 2, nodev: 4 } as const;

/**
 * What mount(8), umount(8) and mkfifo(1) would do, in a fraction of the time. False: it could not be done, or nobody was there to do
 * it; the program then says why.
 */
export const quickly = {
  bind: async (source: string, target: string, flags: number, bounds: Bounds): Promise<boolean> =>
    (await request("B", [source, target, String(flags)], bounds)) === 0,
  /** A file that holds an ext4 file system, through a loop device that goes with the mount; nosuid, nodev, noatime. */
  loop: async (image: string, target: string, bounds: Bounds): Promise<boolean> =>
    (await request("L", [image, target], bounds)) === 0,
  /** One after another; false when one of them could not be unmounted. */
  unmount: async (points: readonly string[], bounds: Bounds): Promise<boolean> =>
    (await request("U", points, bounds)) === 0,
  /** Writable for its owner only. */
  pipe: async (path: string, bounds: Bounds): Promise<boolean> => (await request("F", [path], bounds)) === 0,
} as const;

/**
 * The first process that is moved between control groups waits until each processor has seen that somebody moves (a grace
 * period of the kernel's, some ten milliseconds), those that follow soon after do not. So that wait begins with a start, and not
 * when its runtime has come so far. `procs` is `cgroup.procs` of the mesh's own group. Call what it returns when it has moved.
 */
export function warmGroups(procs: string, bounds: Bounds): () => void {
  const over = new AbortController();
  void request("W", [procs], bounds, over.signal);
  return () => over.abort();
}

async function request(
  kind: string,
  fields: readonly string[],
  { clock, timeoutMs }: Bounds,
  over?: AbortSignal,
): Promise<number> {
  assert(
    fields.every((field) => !/[\0\n]/.test(field)),
    "paths and ids were checked before they are handed on",
  );
  const { child, runs } = (current ??= begin());
  const token = String(++tokens);
  const timer = new AbortController();
  let timedOut = false;
  const end = (): void => void child.stdin.write(`K\0${token}\0\n`);
  over?.addEventListener("abort", end, { once: true });
  clock.sleep(timeoutMs, timer.signal).then(
    () => {
      timedOut = true;
      end();
    },
    () => undefined,
  );
  const status = await new Promise<number>((resolve) => {
    runs.set(token, resolve);
    child.stdin.write(`${[kind, token, ...fields].join("\0")}\0\n`);
  });
  runs.delete(token);
  over?.removeEventListener("abort", end);
  timer.abort();
  const exit = exitOf(status);
  if (timedOut) return 124;
  return "code" in exit ? exit.code : 255;
}

/** How the process that had `pid` has ended, once; null when nobody was told. */
export async function reapedExit(pid: number, clock: Clock): Promise<Exit | null> {
  const reaping = current;
  if (reaping === null) return null;
  const known = reaping.ends.get(pid);
  reaping.ends.delete(pid);
  if (known !== undefined) return exitOf(known);
  const timer = new AbortController();
  const word = new Promise<number>((resolve) => reaping.waiting.set(pid, resolve));
  const late = clock.sleep(WORD_MS, timer.signal).then(
    () => null,
    () => null,
  );
  const status = await Promise.race([word, late]);
  timer.abort();
  reaping.waiting.delete(pid);
  return status === null ? null : exitOf(status);
}

function begin(): Reaping {
  const child = spawn("perl", [SCRIPT, process.arch], {
    stdio: ["pipe", "pipe", "ignore"],
    env: { PATH: SYSTEM_PATH, LC_ALL: "C" },
    cwd: "/",
  });
  const reaping: Reaping = { child, runs: new Map(), ends: new Map(), waiting: new Map() };
  let text = "";
  child.stdout.on("data", (chunk: Buffer) => {
    const lines = (text + chunk.toString("latin1")).split("\n");
    text = lines.pop() ?? "";
    for (const line of lines) take(reaping, line.split(" "));
  });
  const lost = (): void => {
    if (current === reaping) current = null;
    for (const resolve of reaping.runs.values()) resolve(255 << 8);
  };
  child.once("error", lost).once("close", lost);
  child.stdin.on("error", () => undefined);
  // It ends with its standard input, and must not keep a mesh from ending.
  child.unref();
  for (const pipe of [child.stdin, child.stdout]) (pipe as unknown as { unref?(): void }).unref?.();
  return reaping;
}

function take(reaping: Reaping, [kind, name = "", status = ""]: readonly string[]): void {
  if (kind === "R") return reaping.runs.get(name)?.(Number(status));
  const pid = Number(name);
  const waiting = reaping.waiting.get(pid);
  if (waiting) return waiting(Number(status));
  reaping.ends.delete(pid);
  reaping.ends.set(pid, Number(status));
  const [oldest] = reaping.ends.keys();
  if (reaping.ends.size > ENDS_MAX && oldest !== undefined) reaping.ends.delete(oldest);
}

const signalNames = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name]));

/** A status of wait(2): the signal in the lowest seven bits, the code in the byte above. */
export function exitOf(status: number): Exit {
  const signal = status & 0x7f;
  return signal === 0 ? { code: (status >> 8) & 0xff } : { signal: signalNames.get(signal) ?? `signal ${signal}` };
}
