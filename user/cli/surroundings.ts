import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Readable, Writable } from "node:stream";
import { systemClock, type Clock } from "../../lib/clock.ts";

/** A stream that may be a terminal. */
export type TerminalInput = Readable & { readonly isTTY?: boolean; setRawMode?(raw: boolean): unknown };
export type TerminalOutput = Writable & { readonly isTTY?: boolean; readonly columns?: number };

/** Everything that a command takes from the process it runs in, as a parameter. */
export interface Surroundings {
  /** Absolute; relative paths of the command line start here. */
  readonly cwd: string;
  /** The folder of Cordon itself: examples and package.json stand in it. */
  readonly projectFolder: string;
  /** The program of the mesh, run by this same Node as a process of its own. */
  readonly meshProgram: string;
  /** What the mesh's own process is to have of it. */
  readonly environment: NodeJS.ProcessEnv;
  readonly temporaryFolder: string;
  readonly stdin: TerminalInput;
  readonly stdout: TerminalOutput;
  readonly stderr: TerminalOutput;
  readonly colour: boolean;
  readonly clock: Clock;
  /** Aborted by SIGINT, SIGTERM or SIGHUP. A command that needs to clean up asks for it. */
  interruption(): AbortSignal;
}

/** The only reader of environment variables in this zone: NO_COLOR (https://no-color.org), TERM, TMPDIR. All go on to the mesh. */
export function processSurroundings(): Surroundings {
  const projectFolder = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
  const { NO_COLOR, TERM, TMPDIR } = process.env;
  return {
    cwd: process.cwd(),
    projectFolder,
    meshProgram: join(projectFolder, "mesh", "main.ts"),
    environment: process.env,
    temporaryFolder: TMPDIR?.startsWith("/") ? TMPDIR : "/tmp",
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    colour: !NO_COLOR && TERM !== "dumb",
    clock: systemClock,
    interruption: signalled,
  };
}

/** The first signal asks for an orderly end; the second one of the same kind gets the system's default. */
function signalled(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(signal, () => controller.abort(new Interrupted(signal)));
  }
  return controller.signal;
}

export class Interrupted extends Error {
  override readonly name = "Interrupted";
  constructor(signal: string) {
    super(`interrupted by ${signal}`);
  }
}
