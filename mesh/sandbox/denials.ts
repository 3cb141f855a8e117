/**
 * The mesh's end of denial-watcher.pl: one small process for all sandboxes answers their refused calls of telling-calls.ts, and says
 * here which were made. What it tells is for people: the kernel refuses the calls with and without it.
 */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { assert } from "../../lib/assert.ts";
import type { Clock } from "../../lib/clock.ts";
import { limits } from "../../protocol/limits.ts";
import { SandboxError } from "./backend.ts";
import { runProgram, SYSTEM_PATH } from "./process.ts";
import { callNames } from "./telling-calls.ts";

const SCRIPT = fileURLToPath(new URL("denial-watcher.pl", import.meta.url));
/** Of calls beyond the kinds that are told apart in one window. */
const FURTHER_KINDS = "others";

export interface DeniedCall {
  /** Its name in Linux, or `others`. */
  readonly call: string;
  /** The process that made the (last) call, as its sandbox knows it; null when it had ended. */
  readonly pid: number | null;
  /** How many it stands for. */
  readonly count: number;
}

/** Who is told of one sandbox. Must not throw. */
export interface DenialListener {
  denied(call: DeniedCall): void;
  /** From now on its refused calls are not seen; they fail with ENOSYS. */
  unwatched(): void;
}

interface Watching {
  readonly child: ChildProcessByStdio<Writable, Readable, null>;
  readonly listeners: Map<string, DenialListener>;
  readonly answers: Map<string, (error: number | null) => void>;
}

let current: Watching | null = null;
let tokens = 0;

/** A sandbox that is watched over. */
export interface Denials {
  /** Resolves when everything that was seen has been told. Never throws. */
  end(): Promise<void>;
}

/** Why nobody can be told of the refused calls of this runtime's sandboxes; null: somebody can. Throws SandboxError when that cannot be said. */
export async function deniedCallsUnseen(runtime: string, clock: Clock): Promise<string | null> {
  if (!(await handsOverFilters(runtime, clock))) return `\`${basename(runtime)}\` does not hand over its filters`;
  const watching = (current ??= begin());
  // It knows no such sandbox, and says so when it has begun.
  if ((await ask(watching, "E", String(++tokens), [], clock)) !== null) return null;
  const { exitCode } = watching.child;
  if (exitCode === 2) return `nobody has looked at the calls of \`${process.arch}\``;
  if (exitCode === 3) return "the kernel does not hand refused calls on (Linux 5.9 and later do)";
  throw new SandboxError("the watcher over refused calls does not answer", "install `perl-base`, or try again");
}

/** OCI runtime specification, features: `linux.seccomp.actions`. */
async function handsOverFilters(runtime: string, clock: Clock): Promise<boolean> {
  const bounds = { clock, timeoutMs: limits.sandbox.deniedWatcherMs };
  const done = await runProgram(runtime, ["features"], bounds).catch(() => null);
  if (done?.code !== 0) return false;
  try {
    const found: unknown = JSON.parse(done.stdout);
    const features = found as { linux?: { seccomp?: { enabled?: unknown; actions?: unknown } } } | null;
    const { enabled, actions } = features?.linux?.seccomp ?? {};
    return enabled === true && Array.isArray(actions) && actions.includes("SCMP_ACT_NOTIFY");
  } catch {
    return false;
  }
}

/**
 * Waits at `path` for the runtime to hand over the sandbox's filter. Throws SandboxError when it cannot: the runtime would not
 * start the sandbox then.
 */
export async function watchDenials(path: string, listener: DenialListener, clock: Clock): Promise<Denials> {
  assert(!/[\0\n]/.test(path), "paths and ids were checked before they are handed on");
  const watching = (current ??= begin());
  const token = String(++tokens);
  watching.listeners.set(token, listener);
  const error = await ask(watching, "L", token, [path], clock);
  if (error !== 0) {
    watching.listeners.delete(token);
    const why = error === null ? "its watcher has ended" : `error ${error}`;
    throw new SandboxError(`the socket for refused calls could not be made: ${why}`, "see `cordon doctor`");
  }
  return {
    async end() {
      await ask(watching, "E", token, [], clock);
      watching.listeners.delete(token);
    },
  };
}

/** Number of the error, 0 for none; null when nobody answers. */
async function ask(
  { child, answers }: Watching,
  kind: "L" | "E",
  token: string,
  fields: readonly string[],
  clock: Clock,
): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return null;
  const timer = new AbortController();
  const answer = await new Promise<number | null>((resolve) => {
    answers.set(token, resolve);
    clock.sleep(limits.sandbox.deniedWatcherMs, timer.signal).then(
      // One that hangs would hold up every start: the next one begins another.
      () => child.kill("SIGKILL"),
      () => undefined,
    );
    child.stdin.write(`${[kind, token, ...fields].join("\0")}\0\n`);
  });
  timer.abort();
  answers.delete(token);
  return answer;
}

function begin(): Watching {
  const { sandbox } = limits;
  const bounds = [
    ...[sandbox.deniedCallsBurst, sandbox.deniedCallsPerSecond],
    ...[sandbox.deniedCallsOfAllBurst, sandbox.deniedCallsOfAllPerSecond],
    ...[sandbox.deniedWindowMs, sandbox.deniedKindsMax],
  ];
  const child = spawn("perl", [SCRIPT, process.arch, ...bounds.map(String)], {
    stdio: ["pipe", "pipe", "ignore"],
    env: { PATH: SYSTEM_PATH, LC_ALL: "C" },
    cwd: "/",
  });
  const watching: Watching = { child, listeners: new Map(), answers: new Map() };
  const names = callNames(process.arch);
  let text = "";
  child.stdout.on("data", (chunk: Buffer) => {
    const lines = (text + chunk.toString("latin1")).split("\n");
    text = lines.pop() ?? "";
    for (const line of lines) take(watching, line.split(" "), names);
  });
  let isLost = false;
  const lost = (): void => {
    if (isLost) return;
    isLost = true;
    if (current === watching) current = null;
    for (const resolve of watching.answers.values()) resolve(null);
    for (const listener of watching.listeners.values()) listener.unwatched();
  };
  child.once("error", lost).once("close", lost);
  child.stdin.on("error", () => undefined);
  // It ends with its standard input, and must not keep a mesh from ending.
  child.unref();
  for (const pipe of [child.stdin, child.stdout]) (pipe as unknown as { unref?(): void }).unref?.();
  return watching;
}

function take(
  { listeners, answers }: Watching,
  [kind, token = "", ...values]: readonly string[],
  names: ReadonlyMap<number, string>,
): void {
  const [first = 0, pid = 0, count = 0] = values.map(Number);
  if (kind === "R") answers.get(token)?.(first);
  else if (kind === "U") listeners.get(token)?.unwatched();
  else if (kind === "D") {
    const call = first < 0 ? FURTHER_KINDS : (names.get(first) ?? `call ${first}`);
    listeners.get(token)?.denied({ call, pid: pid === 0 ? null : pid, count });
  }
}
