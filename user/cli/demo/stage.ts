import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Context } from "../command.ts";
import { openDesk, type Desk } from "../desk-client.ts";
import { codeOf, Failure } from "../failure.ts";
import { meshIsGone } from "../mesh-presence.ts";
import { meshFailure, serveMesh, type RunningMesh } from "../mesh-process.ts";

/** A mesh on a state of its own that is gone, state and all, when `close` resolves. */
export interface Stage {
  readonly state: string;
  readonly desk: Desk;
  /** Does `work`, and rejects when the mesh ends meanwhile without having been asked to: with its own last words. */
  during<T>(work: Promise<T>): Promise<T>;
  lastWords(): string;
  /** Ends the mesh through the desk; rejects when it is not gone. The state stays until `close`. */
  shutdown(): Promise<void>;
  close(): Promise<void>;
}

const SHUTDOWN_TIMEOUT_MS = 30_000;
const END_PATIENCE_MS = 2_000;

/** `interrupted` rejects when the start is to be given up. */
export async function openStage(
  args: readonly string[],
  interrupted: Promise<never>,
  context: Context,
): Promise<Stage> {
  const state = await mkdtemp(join(context.temporaryFolder, "cordon-demo-"));
  const mesh = serveMesh(context, [...args, "--state", state]);
  try {
    await Promise.race([mesh.ready, interrupted]);
    return stageOf(state, mesh, await openDesk(state), args, context);
  } catch (error) {
    await mesh.stop();
    await removeState(state);
    throw error;
  }
}

function stageOf(state: string, mesh: RunningMesh, desk: Desk, args: readonly string[], context: Context): Stage {
  let asked = false;
  const ended = new AbortController();
  void mesh.exited.then(() => ended.abort());
  const broken = mesh.exited.then((code): Promise<never> => {
    if (asked) return new Promise(() => undefined);
    throw meshFailure(mesh.lastWords(), code);
  });
  broken.catch(() => undefined);
  // A broken connection comes before the end of the process that broke it.
  const during = <T>(work: Promise<T>): Promise<T> =>
    Promise.race([
      broken,
      work.catch(async (error: unknown): Promise<T> => {
        await context.clock.sleep(END_PATIENCE_MS, ended.signal).catch(() => undefined);
        throw asked || !ended.signal.aborted ? error : await broken;
      }),
    ]);
  const shutdown = async (): Promise<void> => {
    asked = true;
    await desk.shutdown();
    const signal = new AbortController();
    const late = context.clock.sleep(SHUTDOWN_TIMEOUT_MS, signal.signal).then(
      () => "late",
      () => "late",
    );
    const first = await Promise.race([mesh.exited, late]);
    signal.abort();
    if (first === "late" || !(await meshIsGone(state))) {
      throw new Failure("the mesh did not end when the desk was asked to shut it down", "see `cordon doctor`");
    }
  };
  const close = async (): Promise<void> => {
    asked = true;
    await mesh.stop();
    // A mesh that crashed may have left sandboxes; its next start takes them away.
    if ((await mesh.exited) !== 0) await sweep(state, args, context);
    await removeState(state);
  };
  return { state, desk, during, lastWords: mesh.lastWords, shutdown, close };
}

async function sweep(state: string, args: readonly string[], context: Context): Promise<void> {
  const mesh = serveMesh(context, [...args, "--state", state]);
  await mesh.ready.catch(() => undefined);
  await mesh.stop();
}

async function removeState(state: string): Promise<void> {
  try {
    await rm(state, { recursive: true, force: true, maxRetries: 3 });
  } catch (error) {
    throw new Failure(
      `the demo's state \`${state}\` cannot be removed: ${codeOf(error)}`,
      "see `cordon doctor`, then remove it",
      1,
      { cause: error },
    );
  }
}
