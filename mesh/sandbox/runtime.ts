/** The OCI runtime (runc or crun), driven directly: no daemon stands between the mesh and its sandboxes. */
import { access, constants, mkdir, readdir, readFile } from "node:fs/promises";
import { basename, isAbsolute, join } from "node:path";
import { limits } from "../../protocol/limits.ts";
import type { Clock } from "../../lib/clock.ts";
import { SandboxError } from "./backend.ts";
import type { Places, SandboxPlaces } from "./places.ts";
import { type Finished, runProgram, SYSTEM_PATH } from "./process.ts";

const REASON_CHARS_MAX = 600;
const RUNTIMES = ["runc", "crun"];

/** The first of runc and crun on `searchPath` (colon-separated) or in the system's own folders; null when there is none. */
export async function findRuntime(searchPath: string): Promise<string | null> {
  const folders = [...new Set(`${searchPath}:${SYSTEM_PATH}`.split(":"))].filter(isAbsolute);
  for (const name of RUNTIMES) {
    for (const folder of folders) {
      const file = join(folder, name);
      if (
        await access(file, constants.X_OK).then(
          () => true,
          () => false,
        )
      )
        return file;
    }
  }
  return null;
}

export class Runtime {
  readonly file: string;
  readonly #places: Places;
  readonly #clock: Clock;

  constructor(file: string, places: Places, clock: Clock) {
    this.file = file;
    this.#places = places;
    this.#clock = clock;
  }

  get #global(): readonly string[] {
    return ["--root", this.#places.runtimeRoot];
  }

  /** Name and version, for example `runc 1.1.5`; null when the program does not answer. */
  async version(): Promise<string | null> {
    const done = await runProgram(this.file, ["--version"], { clock: this.#clock, timeoutMs: 5_000 }).catch(() => null);
    const match = done?.code === 0 ? /^(\w+) version ([0-9][^\s+]*)/.exec(done.stdout) : null;
    return match ? `${match[1]} ${match[2]}` : null;
  }

  /** Starts the bundle, with everything it prints going to `outputFd`; returns the host pid of its PID 1. */
  async run(id: string, at: SandboxPlaces, outputFd: number): Promise<number> {
    await mkdir(this.#places.runtimeRoot, { recursive: true, mode: 0o700 });
    const errors = join(at.dir, "runtime.log");
    const args = [
      ...this.#global,
      "--log",
      errors,
      "run",
      "--detach",
      "--bundle",
      at.dir,
      "--pid-file",
      at.pidFile,
      id,
    ];
    const done = await runProgram(this.file, args, {
      clock: this.#clock,
      outputFd,
      timeoutMs: limits.sandbox.startTimeoutMs,
    }).catch((error: Error) => ({ code: 127, stderr: error.message }));
    if (done.code !== 0) {
      const why = (await readFile(errors, "utf8").catch(() => "")).trim().split("\n").at(-1) ?? "";
      throw new SandboxError(
        `\`${basename(this.file)}\` could not build the sandbox: ${explain(why) || `exit code ${done.code}`}`,
        "run `cordon doctor` to see what this machine lacks",
      );
    }
    return Number(await readFile(at.pidFile, "utf8"));
  }

  /** Runs a command inside; user, capabilities, filter and no-new-privileges are the bundle's. */
  async exec(
    id: string,
    at: SandboxPlaces,
    pidFile: string,
    command: readonly string[],
    bounds: { readonly outputBytesMax: number; readonly timeoutMs: number; readonly onTimeout: () => void },
  ): Promise<Finished> {
    const args = [...this.#global, "--log", join(at.dir, "runtime.log"), "exec", "--pid-file", pidFile, id, ...command];
    return runProgram(this.file, args, { clock: this.#clock, ...bounds });
  }

  /** Ends every process of the container and forgets it; nothing happens when there is none. */
  async delete(id: string): Promise<void> {
    await runProgram(this.file, [...this.#global, "delete", "--force", id], {
      clock: this.#clock,
      timeoutMs: limits.sandbox.stopProofMs,
    });
  }

  /** Ids that the runtime keeps state of, finished or not. */
  async ids(): Promise<readonly string[]> {
    return readdir(this.#places.runtimeRoot).catch(() => []);
  }
}

/** The message in a `--log` line of runc (`level=… msg="…"`, Go quoting) or crun. */
function explain(line: string): string {
  const MARK = 'msg="';
  const at = line.indexOf(MARK);
  if (at < 0) return line.slice(0, REASON_CHARS_MAX);
  let text = "";
  for (let i = at + MARK.length; i < line.length && line[i] !== '"'; i++) {
    if (line[i] === "\\") i++;
    text += line[i] ?? "";
  }
  return text.slice(0, REASON_CHARS_MAX);
}
