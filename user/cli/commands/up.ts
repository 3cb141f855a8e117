import { closeSync, mkdirSync, openSync, statSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { limits } from "../../../protocol/limits.ts";
import { stateOptions, type Command, type Context, type Input } from "../command.ts";
import { openDesk } from "../desk-client.ts";
import { codeOf, Failure, type ExitCode } from "../failure.ts";
import { followFleet } from "../fleet-view.ts";
import { tint } from "../line.ts";
import { deskAccepts, forgetPid, notedPid, notePid } from "../mesh-presence.ts";
import {
  detachMesh,
  meshFailure,
  READY,
  serveMesh,
  stageOf,
  STARTING,
  type Inherited,
  type RunningMesh,
} from "../mesh-process.ts";
import { passphraseOption, unlocking } from "../passphrase.ts";
import { placesOf, requireFleetFile, type Places } from "../places.ts";
import { printStatus } from "./status.ts";

const START_TIMEOUT_MS = 120_000;
const POLL_MS = 100;
/** Between the loss of the desk and the end of the mesh's process. */
const END_PATIENCE_MS = 2_000;

export const up: Command = {
  name: "up",
  summary: "start the fleet: in the foreground with a live view, or detached with -d",
  usage: "[-d] [--fleet FILE] [--state DIR]",
  options: {
    detach: { short: "d", help: "start, wait until it is ready, and leave it running" },
    listen: { value: "127.0.0.1:PORT", help: "let the desk listen on a loopback port, too" },
    input: { value: "DIR", help: "folder of files that agents may be allowed to read" },
    output: { value: "DIR", help: "folder for what agents may be allowed to write" },
    ...passphraseOption,
    ...stateOptions,
  },
  words: [0, 0],
  async run(input, context) {
    const places = placesOf(input, context);
    requireFleetFile(places);
    makeState(places.state);
    await requireFree(places.state);
    const args = serveArguments(input, places, context.cwd);
    const inherited = await unlocking(input, context);
    return input.flag("detach")
      ? detached(args, places, context, inherited)
      : foreground(args, places, context, inherited);
  },
};

function serveArguments(input: Input, places: Places, cwd: string): string[] {
  const args = ["--fleet", places.fleetFile, "--state", places.state];
  const listen = input.text("listen");
  if (listen !== undefined) args.push("--listen", listen);
  for (const folder of ["input", "output"] as const) {
    const given = input.text(folder);
    if (given !== undefined) args.push(`--${folder}`, resolve(cwd, given));
  }
  return args;
}

/** Before anything is written into it: another user's folder could hold a link to a file of ours. */
function makeState(state: string): void {
  try {
    mkdirSync(state, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new Failure(
      `the state folder \`${state}\` cannot be made: ${codeOf(error)}`,
      "name another with `--state DIR`",
    );
  }
  const { uid, mode } = statSync(state);
  if (uid !== process.getuid?.())
    throw new Failure(
      `\`${state}\` belongs to another user`,
      "run as its owner, or name another folder with `--state DIR`",
    );
  if ((mode & 0o077) !== 0) throw new Failure(`\`${state}\` can be entered by others`, `run \`chmod 700 ${state}\``);
}

/** The lock of the state decides; this only says it sooner and with the name of the other mesh. */
async function requireFree(state: string): Promise<void> {
  if (!(await deskAccepts(state))) return;
  const pid = await notedPid(state);
  throw new Failure(
    `a mesh runs on the state \`${state}\` already${pid === undefined ? "" : ` (process ${pid})`}`,
    "stop it with `cordon down`, or name another state with `--state DIR`",
  );
}

async function foreground(
  args: readonly string[],
  places: Places,
  context: Context,
  inherited: Inherited,
): Promise<ExitCode> {
  const signal = context.interruption();
  const mesh = serveMesh(context, args, inherited);
  try {
    await readiness(mesh, context, signal);
    if (!signal.aborted) {
      await notePid(places.state, mesh.pid);
      const desk = await openDesk(places.state);
      printStatus(await desk.status(), context);
      context.terminal.print(tint("faint", "Ctrl-C stops the fleet"));
      const ended = new AbortController();
      void mesh.exited.then(() => ended.abort());
      // When the mesh dies, its own last words say more than the broken connection.
      await followFleet(desk, context, AbortSignal.any([signal, ended.signal])).catch(async (error: unknown) => {
        await context.clock.sleep(END_PATIENCE_MS, ended.signal).catch(() => undefined);
        if (!ended.signal.aborted) throw error;
      });
    }
  } finally {
    context.terminal.live("stopping …");
    await mesh.stop();
    context.terminal.settle();
    await forgetPid(places.state, mesh.pid);
  }
  const code = await mesh.exited;
  if (signal.aborted || code === 0) {
    context.terminal.print("stopped");
    return 0;
  }
  throw meshFailure(mesh.lastWords(), code);
}

/** Until it is ready or `signal` is aborted: packages of a root file system can take minutes. */
async function readiness(mesh: RunningMesh, context: Context, signal: AbortSignal): Promise<void> {
  const settled = new AbortController();
  void mesh.ready.finally(() => settled.abort()).catch(() => undefined);
  const over = AbortSignal.any([signal, settled.signal]);
  while (!over.aborted) {
    context.terminal.live(`${mesh.stage()} …`);
    await context.clock.sleep(POLL_MS, over).catch(() => undefined);
  }
  if (!signal.aborted) await mesh.ready;
}

async function detached(
  args: readonly string[],
  places: Places,
  context: Context,
  inherited: Inherited,
): Promise<ExitCode> {
  const logFile = join(places.state, "mesh.log");
  const log = openSync(logFile, "a", 0o600);
  const from = (await stat(logFile)).size;
  const mesh = detachMesh(context, args, log, inherited);
  closeSync(log);
  let ended: number | undefined;
  void mesh.exited.then((code) => (ended = code));
  const written = async (): Promise<string> => (await readFile(logFile)).subarray(from).toString("utf8");
  let [stage, sinceMs] = ["", 0];
  for (let seen = ""; !READY.test(seen); seen = await written()) {
    if (ended !== undefined) throw meshFailure(await written(), ended);
    const nowMs = context.clock.monotonicMs();
    if (stageOf(seen) !== stage) [stage, sinceMs] = [stageOf(seen), nowMs];
    const patienceMs = START_TIMEOUT_MS + (stage === STARTING ? 0 : limits.rootfs.packagesTimeoutMs);
    if (nowMs - sinceMs > patienceMs) {
      throw new Failure(
        `the mesh is not ready: it is still ${stage} after ${patienceMs / 1000} s`,
        `see \`${logFile}\`; stop it with \`cordon down\``,
      );
    }
    context.terminal.live(`${stage} …`);
    await context.clock.sleep(POLL_MS);
  }
  await notePid(places.state, mesh.pid);
  printStatus(await (await openDesk(places.state)).status(), context);
  context.terminal.print(tint("faint", `it goes on in the background; log: ${logFile}; stop it with \`cordon down\``));
  return 0;
}
