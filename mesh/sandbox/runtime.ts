/** The OCI runtime (runc, crun or runsc), driven directly: no daemon stands between the mesh and its sandboxes. */
import { access, constants, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, isAbsolute, join } from "node:path";
import { limits } from "../../protocol/limits.ts";
import type { Clock } from "../../lib/clock.ts";
import { SandboxError } from "./backend.ts";
import { SANDBOX_UID } from "./bundle.ts";
import type { Places, SandboxPlaces } from "./places.ts";
import { type Finished, runProgram, SYSTEM_PATH } from "./process.ts";
import { runReaped } from "./reaper.ts";
import { intoGroups } from "./rootless/into-groups.ts";
import { type RuntimeProfile, runtimeProfiles } from "./runtime-profile.ts";

const REASON_CHARS_MAX = 600;
/** No runtime takes seconds to print a list; one that hangs must not hang the mesh. */
const ANSWER_MS = 5_000;

/** The profile's first program on `searchPath` (colon-separated) or in the system's own folders; null when there is none. */
export async function findRuntime(
  searchPath: string,
  profile: RuntimeProfile = runtimeProfiles.container,
): Promise<string | null> {
  const folders = [...new Set(`${searchPath}:${SYSTEM_PATH}`.split(":"))].filter(isAbsolute);
  for (const name of profile.programs) {
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
  readonly profile: RuntimeProfile;
  readonly #root: string;
  readonly #clock: Clock;
  #options: Promise<readonly string[]> | undefined;

  constructor(file: string, profile: RuntimeProfile, places: Places, clock: Clock) {
    this.file = file;
    this.profile = profile;
    this.#root = join(places.installationDir, profile.stateFolder);
    this.#clock = clock;
  }

  async #global(at?: SandboxPlaces): Promise<readonly string[]> {
    this.#options ??= this.profile.process === "agent" ? Promise.resolve([]) : this.#gvisorOptions();
    const log = at === undefined ? [] : ["--log", join(at.dir, "runtime.log")];
    return ["--root", this.#root, ...log, ...(await this.#options)];
  }

  /**
   * The platform is always named: the KVM one is quickest and hangs on machines that have the device and not the rest.
   * Without one of the named options the door could not be opened, so the start would fail, which is as it should be.
   */
  async #gvisorOptions(): Promise<readonly string[]> {
    const done = await this.#ask("flags");
    const listed = `${done?.stdout ?? ""}${done?.stderr ?? ""}`;
    const platforms = /-platform \w+\s+specifies which platform to use: ([^\n]{1,200})/.exec(listed)?.[1] ?? "";
    const platform = ["systrap", "ptrace"].find((name) => platforms.includes(name)) ?? "ptrace";
    const door = listed.includes("-host-uds") ? "--host-uds=open" : "--fsgofer-host-uds";
    const filter = listed.includes("-oci-seccomp") ? ["--oci-seccomp"] : [];
    return [`--platform=${platform}`, "--network=none", door, ...filter];
  }

  #ask(word: string): Promise<Finished | null> {
    return runProgram(this.file, [word], { clock: this.#clock, timeoutMs: ANSWER_MS }).catch(() => null);
  }

  /** Name and version, for example `runc 1.1.5`; null when the program does not answer. */
  async version(): Promise<string | null> {
    const done = await this.#ask("--version");
    const match = done?.code === 0 ? /^(\w+) version ([0-9][^\s+]*)/.exec(done.stdout) : null;
    return match ? `${match[1]} ${match[2]}` : null;
  }

  /** Starts the bundle, with everything it prints going to the pipe of `at`; returns the host pid of its PID 1 or its kernel. */
  async run(id: string, at: SandboxPlaces): Promise<number> {
    await mkdir(this.#root, { recursive: true, mode: 0o700 });
    const args = ["run", "--detach", "--bundle", at.dir, "--pid-file", at.pidFile, id];
    const code = await runReaped(this.file, [...(await this.#global(at)), ...args], {
      output: at.log,
      clock: this.#clock,
      timeoutMs: limits.sandbox.startTimeoutMs,
    });
    if (code !== 0) {
      const log = (await readFile(join(at.dir, "runtime.log"), "utf8").catch(() => "")).trim();
      throw new SandboxError(
        `\`${basename(this.file)}\` could not build the sandbox: ${explain(log) || `exit code ${code}`}`,
        "run `cordon doctor` to see what this machine lacks",
      );
    }
    return Number(await readFile(at.pidFile, "utf8"));
  }

  /**
   * Runs a command inside; user, capabilities, filter and no-new-privileges are the bundle's. In a user namespace the runtime
   * cannot move it into the sandbox's `groups` (it is another user by then, and the runtime goes on without): so it starts there.
   */
  async exec(
    id: string,
    at: SandboxPlaces,
    pidFile: string,
    command: readonly string[],
    bounds: { readonly outputBytesMax: number; readonly timeoutMs: number; readonly onTimeout: () => void },
    groups: readonly string[] | null,
  ): Promise<Finished> {
    const own =
      this.profile.process === "agent"
        ? ["--pid-file", pidFile]
        : ["--internal-pid-file", pidFile, "--user", `${SANDBOX_UID}:${SANDBOX_UID}`];
    const described = basename(this.file) === "crun" ? `${pidFile}.json` : null;
    if (described !== null) await describeExec(at, command, described);
    const told = described === null ? [...own, id, ...command] : [...own, "--process", described, id];
    const args = [...(await this.#global(at)), "exec", ...told];
    const [program, ...words] = groups === null ? [this.file, ...args] : intoGroups(groups, [this.file, ...args]);
    const done = await runProgram(program, words, { clock: this.#clock, ...bounds });
    if (described !== null) await rm(described, { force: true });
    return done;
  }

  /** Sends a signal to PID 1 inside, or to `pid` as it is known inside. */
  async signal(id: string, signal: "TERM" | "KILL", pid?: number): Promise<void> {
    const which = pid === undefined ? [] : ["--pid", String(pid)];
    await runProgram(this.file, [...(await this.#global()), "kill", ...which, id, signal], {
      clock: this.#clock,
      timeoutMs: limits.sandbox.stopProofMs,
    }).catch(() => undefined);
  }

  /** Ends every process of the container and forgets it; nothing happens when there is none. */
  async delete(id: string): Promise<void> {
    // By the small process: a fork of the mesh, which may be large, holds up every door for its time.
    await runReaped(this.file, [...(await this.#global()), "delete", "--force", id], {
      output: "/dev/null",
      clock: this.#clock,
      timeoutMs: limits.sandbox.stopProofMs,
      patient: true,
    });
  }

  /** Ids that the runtime keeps state of, finished or not. runc has a folder an id, runsc files `<id>_sandbox:<id>.state`. */
  async ids(): Promise<readonly string[]> {
    const names = await readdir(this.#root).catch(() => []);
    if (this.profile.process === "agent") return names;
    return [...new Set(names.map((name) => (name.split(":").at(-1) ?? "").replace(/\.(?:state|lock)$/, "")))];
  }

  /** Removes the state of a sandbox of which nothing else is left. */
  async forget(id: string): Promise<void> {
    const names =
      this.profile.process === "agent" ? [id] : ["state", "lock"].map((end) => `${id}_sandbox:${id}.${end}`);
    for (const name of names) await rm(join(this.#root, name), { recursive: true, force: true });
  }
}

/** crun takes nothing over from PID 1 but its groups and namespaces: all else of its process is said again. */
async function describeExec(at: SandboxPlaces, command: readonly string[], file: string): Promise<void> {
  const { process: first } = JSON.parse(await readFile(at.config, "utf8")) as { process: object };
  await writeFile(file, JSON.stringify({ ...first, args: command }), { mode: 0o600 });
}

/** The last message of a `--log`: `level=… msg="…"` of runc and crun (Go quoting), or JSON objects of runsc. */
function explain(log: string): string {
  const json = log.lastIndexOf('{"msg":"');
  const line = json >= 0 ? log.slice(json) : (log.split("\n").at(-1) ?? "");
  const mark = json >= 0 ? '"msg":"' : 'msg="';
  const at = line.indexOf(mark);
  if (at < 0) return line.slice(0, REASON_CHARS_MAX);
  let text = "";
  for (let i = at + mark.length; i < line.length && line[i] !== '"'; i++) {
    if (line[i] === "\\") i++;
    text += line[i] ?? "";
  }
  return text.slice(0, REASON_CHARS_MAX);
}
