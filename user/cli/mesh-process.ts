/** The only file of this zone that starts a process, and the only program it starts is the mesh, inside a namespace if need be. */
import { spawn, type ChildProcess, type StdioOptions } from "node:child_process";
import { existsSync } from "node:fs";
import { Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { Failure } from "./failure.ts";
import type { Surroundings } from "./surroundings.ts";

type Host = Pick<Surroundings, "meshProgram" | "cwd" | "environment">;

const PERL = "/usr/bin/perl";
const ENTER = fileURLToPath(new URL("../../mesh/sandbox/rootless/enter.pl", import.meta.url));
const OUTPUT_BYTES_MAX = 16 * 1024 * 1024;
/**
 * Nothing in the mesh makes code from text, and nothing may. What it throws away is young and small: threads that help
 * to collect it wait for each other longer than they help, and more than 8 MiB for it would only be more memory.
 */
const NODE_FLAGS = [
  "--disable-warning=ExperimentalWarning",
  "--disallow-code-generation-from-strings",
  "--no-parallel-scavenge",
  "--max-semi-space-size=8",
];
/** What bodies took is given back: of its own accord glibc keeps 50 MB more after a crowd of long ones (mallopt(3)). */
const ALLOCATOR = { MALLOC_ARENA_MAX: "2", MALLOC_TRIM_THRESHOLD_: "4000000" };
/** How long an orderly stop may take before the process is ended. */
const STOP_PATIENCE_MS = 20_000;

/** More for the command line, and what it names as `/dev/fd/3`: erased when it is handed over. */
export interface Inherited {
  readonly args: readonly string[];
  readonly pipe?: Buffer;
}

const NOTHING: Inherited = { args: [] };

export interface RunningMesh {
  readonly pid: number;
  /** What it is about before it is ready. */
  stage(): string;
  /** Resolves when the desk answers; rejects with the mesh's own error when it ends before. */
  readonly ready: Promise<void>;
  /** Resolves with the exit code, also of a process that was killed (128 + signal is not told apart: 1). */
  readonly exited: Promise<number>;
  /** What it wrote to standard error last. */
  lastWords(): string;
  /** SIGTERM, and SIGKILL if it is still there after a while; resolves when the process is gone. */
  stop(): Promise<void>;
}

/**
 * `mesh serve` as a child of this command. It gets a process group of its own, so that Ctrl-C reaches
 * this command alone, which then stops the mesh in order.
 */
export function serveMesh(host: Host, args: readonly string[], inherited = NOTHING): RunningMesh {
  // The mesh ends when its standard input does: also when this command is killed and can stop nothing any more.
  const child = launch(host, ["serve", "--attached", ...args], ["pipe", "pipe", "pipe"], true, inherited);
  child.stdin?.on("error", () => undefined);
  const errors = collect(child.stderr);
  const exited = exitOf(child);
  let seen = "";
  const ready = new Promise<void>((resolve, reject) => {
    child.stdout?.on("data", (piece: Buffer) => {
      if (seen.length < OUTPUT_BYTES_MAX) seen += piece.toString("utf8");
      if (READY.test(seen)) resolve();
    });
    void exited.then((code) => reject(meshFailure(errors(), code)));
  });
  ready.catch(() => undefined);
  return {
    pid: child.pid ?? 0,
    stage: () => stageOf(seen),
    ready,
    exited,
    lastWords: errors,
    stop: () => stop(child, exited),
  };
}

/** `mesh serve` that outlives this command; both its outputs go to the open file `log`. */
export function detachMesh(
  host: Host,
  args: readonly string[],
  log: number,
  inherited = NOTHING,
): Pick<RunningMesh, "pid" | "exited"> {
  const child = launch(host, ["serve", ...args], ["ignore", log, log], true, inherited);
  const exited = exitOf(child);
  child.unref();
  return { pid: child.pid ?? 0, exited };
}

/** The line by which `mesh serve` says that its desk answers. */
export const READY = /^\{"ready":true\}$/m;

export const STARTING = "starting";
/** What `mesh serve` said last that it is about before it is ready. */
export const stageOf = (seen: string): string =>
  seen
    .match(/^\{"stage":"[^"\\\n]{1,200}"\}$/gm)
    ?.at(-1)
    ?.slice(10, -2) ?? STARTING;

export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command of the mesh to its end. `input`, if given, is its whole standard input. */
export async function runMesh(
  host: Host,
  args: readonly string[],
  input?: Uint8Array,
  inherited = NOTHING,
): Promise<Finished> {
  const child = launch(host, args, [input ? "pipe" : "ignore", "pipe", "pipe"], false, inherited);
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  // A child that ends without reading its input is judged by its exit code.
  child.stdin?.on("error", () => undefined);
  child.stdin?.end(input);
  const code = await exitOf(child);
  return { code, stdout: stdout(), stderr: stderr() };
}

/** As `runMesh`, with each line of its standard output told as it comes. */
export async function followMesh(
  host: Host,
  args: readonly string[],
  onLine: (line: string) => void,
  signal: AbortSignal,
): Promise<Omit<Finished, "stdout">> {
  const child = launch(host, args, ["ignore", "pipe", "pipe"], true);
  const stderr = collect(child.stderr);
  let rest = "";
  child.stdout?.on("data", (piece: Buffer) => {
    const lines = (rest + piece.toString("utf8")).split("\n");
    rest = (lines.pop() ?? "").slice(-OUTPUT_BYTES_MAX);
    for (const line of lines) onLine(line);
  });
  const exited = exitOf(child);
  const onAbort = (): void => void stop(child, exited);
  signal.addEventListener("abort", onAbort, { once: true });
  const code = await exited.finally(() => signal.removeEventListener("abort", onAbort));
  return { code, stderr: stderr() };
}

/** Runs a command of the mesh with this terminal until it ends or `signal` asks it to. */
export async function attendMesh(host: Host, args: readonly string[], signal: AbortSignal): Promise<number> {
  const child = launch(host, args, "inherit", true);
  const exited = exitOf(child);
  const onAbort = (): void => void stop(child, exited);
  signal.addEventListener("abort", onAbort, { once: true });
  return exited.finally(() => signal.removeEventListener("abort", onAbort));
}

/** `cordon: MESSAGE` and `fix: REMEDY`, as the mesh prints its errors, read back. */
export function meshFailure(stderr: string, code: number): Failure {
  const message = /^cordon: (.+)$/m.exec(stderr)?.[1];
  const fix = /^fix: (.+)$/m.exec(stderr)?.[1];
  if (message) return new Failure(message, fix ?? "");
  // Mistakes in the fleet file name their places, each with its own fix.
  const mistakes = stderr.trim().split(/\n {2}fix: /);
  if (mistakes.length === 2) return new Failure(mistakes[0] ?? "", mistakes[1] ?? "");
  if (mistakes.length > 2)
    return new Failure(
      `the fleet file has mistakes\n${stderr.trim()}`,
      "mend them in this order and run `cordon check`",
    );
  const last = stderr.trim().split("\n").at(-1) || "it said nothing";
  return new Failure(`the mesh ended with exit code ${code}: ${last}`, "run `cordon doctor`");
}

/** Commands that build sandboxes, which an ordinary user's mesh does as root of a user namespace of his own. */
const BUILDING = ["serve", "doctor", "assault"];

/** `args` of the mesh decide whether `node` is started inside that namespace. What is missing for it, the mesh says. */
function commandOf(node: string, words: readonly string[], args: readonly string[]): readonly [string, ...string[]] {
  const elsewhere = process.platform !== "linux" || process.getuid?.() === 0 || !existsSync(PERL);
  if (elsewhere || !BUILDING.includes(args[0] ?? "") || args.includes("--runtime-cmd")) return [node, ...words];
  return [PERL, ENTER, process.arch, node, ...words];
}

function launch(
  host: Host,
  args: readonly string[],
  stdio: StdioOptions,
  ownGroup: boolean,
  { args: more, pipe }: Inherited = NOTHING,
): ChildProcess {
  const [program, ...words] = commandOf(process.execPath, [...NODE_FLAGS, host.meshProgram, ...args, ...more], args);
  const child = spawn(program, words, {
    cwd: host.cwd,
    env: { ...ALLOCATOR, ...host.environment },
    stdio: pipe && typeof stdio !== "string" ? [...stdio, "pipe"] : stdio,
    detached: ownGroup,
  });
  const end = child.stdio[3];
  if (pipe && end instanceof Writable) {
    // A child that ends without reading it is judged by its exit code.
    end.on("error", () => undefined);
    end.end(pipe, () => pipe.fill(0));
  }
  return child;
}

function exitOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve) => {
    child.once("error", () => resolve(1));
    child.once("close", (code) => resolve(code ?? 1));
  });
}

/** Keeps the last part of a stream. */
function collect(stream: NodeJS.ReadableStream | null): () => string {
  let text = "";
  stream?.on("data", (piece: Buffer) => {
    text = (text + piece.toString("utf8")).slice(-OUTPUT_BYTES_MAX);
  });
  return () => text;
}

async function stop(child: ChildProcess, exited: Promise<number>): Promise<void> {
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_PATIENCE_MS);
  await exited;
  clearTimeout(timer);
}
