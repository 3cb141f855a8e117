/** Real sandboxes for tests: an oci backend of its own installation, torn down and proved empty at the end. */
import { spawnSync } from "node:child_process";
import {
  accessSync,
  constants as fs,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { systemClock as clock } from "../../lib/clock.ts";
import { randomId } from "../../lib/id.ts";
import type { DoorListener, Sandbox, SandboxBackend, SandboxEvent, SandboxSpec } from "../../mesh/sandbox/backend.ts";
import { createOciBackend } from "../../mesh/sandbox/oci.ts";
import { userNamespace } from "../../mesh/sandbox/rootless/namespace.ts";
import { ensureRootfs } from "../../mesh/sandbox/rootfs.ts";
import { runtimeProfiles } from "../../mesh/sandbox/runtime-profile.ts";
import { findRuntime } from "../../mesh/sandbox/runtime.ts";

export const projectDir = fileURLToPath(new URL("../..", import.meta.url));
const MiB = 1024 ** 2;

/** The reason to skip, or false. Every other lack is a failure. */
export const skipUnlessRoot = process.getuid?.() === 0 ? false : "real sandboxes need root: run `sudo npm test`";

export const freshId = (prefix: string): string => randomId.next(prefix);

export interface TestHost {
  readonly backend: SandboxBackend;
  readonly stateDir: string;
  readonly installation: string;
  readonly rootfs: string;
  /** Another backend on the same state, as a mesh that starts again has. */
  again(): SandboxBackend;
  /** What is left of this installation on the machine. */
  leftovers(): readonly string[];
  close(): Promise<void>;
}

/** Another user's checkout cannot be written to. */
const cacheDir = writable(join(projectDir, ".cache"))
  ? join(projectDir, ".cache/test-rootfs")
  : join(tmpdir(), "rootfs");
const runDir = userNamespace()?.runDir ?? "/run/cordon";

let built: Promise<string> | undefined;
export const buildRootfs = (): Promise<string> =>
  (built ??= ensureRootfs({
    cacheDir,
    projectDir,
    nodePath: process.execPath,
    clock,
    entries: ["lib/assert.ts", "agent/relay/main.ts"],
  }));

export interface HostOptions {
  readonly stateDir?: string;
  readonly installation?: string;
  /** Absolute path of runc or crun; absent: the first that is found. */
  readonly runtime?: string | null;
  /** Absolute path of runsc; null as on a machine without it. */
  readonly gvisor?: string | null;
}

export async function openHost({
  stateDir = mkdtempSync(join(tmpdir(), "cordon-state-")),
  installation = randomId.next("t").slice(2, 10),
  runtime: given,
  gvisor,
}: HostOptions = {}): Promise<TestHost> {
  const rootfs = await buildRootfs();
  const runtime = given === undefined ? await findRuntime("") : given;
  const runsc = gvisor === undefined ? await findRuntime("", runtimeProfiles.gvisor) : gvisor;
  const again = (): SandboxBackend =>
    createOciBackend({ installation, stateDir, rootfs, runtime, gvisor: runsc, clock });
  const leftovers = (): readonly string[] => leftoversOf(installation, stateDir);
  const close = async (): Promise<void> => {
    await again().sweep();
    const left = leftovers();
    rmSync(stateDir, { recursive: true, force: true });
    if (left.length > 0) throw new Error(`left behind: ${left.join(", ")}`);
  };
  return { backend: again(), stateDir, installation, rootfs, again, leftovers, close };
}

/** Looks with other means than the code under test: mount table, losetup, find, processes. */
export function leftoversOf(installation: string, stateDir: string): readonly string[] {
  const mounts = readFileSync("/proc/self/mounts", "utf8")
    .split("\n")
    .filter((line) => line.includes(`/${installation}/`));
  const loops = spawnSync("losetup", ["--list", "--noheadings", "--output", "NAME,BACK-FILE"], { encoding: "utf8" });
  const looped = loops.stdout.split("\n").filter((line) => line.includes(stateDir));
  const groups = spawnSync("find", ["/sys/fs/cgroup", "-maxdepth", "3", "-name", `cordon-${installation}`], {
    encoding: "utf8",
  });
  const folder = existsSync(`${runDir}/${installation}`) ? readdirSync(`${runDir}/${installation}`) : [];
  const ids = existsSync(`${runDir}/ids`) ? readdirSync(`${runDir}/ids`) : [];
  const claims = ids.filter((name) => ownerOf(name).startsWith(`${installation}/`));
  return [
    ...mounts,
    ...looped,
    ...groups.stdout.split("\n").filter(Boolean),
    ...folder,
    ...claims.map((c) => `claim ${c}`),
  ];
}

function writable(folder: string): boolean {
  try {
    accessSync(folder, fs.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** Empty for a claim that was given back since it was listed: other installations' come and go meanwhile. */
function ownerOf(claim: string): string {
  try {
    return readFileSync(`${runDir}/ids/${claim}`, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}

export interface TestDoor extends DoorListener {
  readonly path: string | null;
  readonly closed: boolean;
  readonly requests: readonly string[];
}

export function testDoor(): TestDoor {
  const requests: string[] = [];
  let path: string | null = null;
  let closed = false;
  const server: Server = createServer((request, response) => {
    requests.push(request.url ?? "");
    response.end("open");
  });
  return {
    get path() {
      return path;
    },
    get closed() {
      return closed;
    },
    requests,
    listen: (at) =>
      new Promise((resolve, reject) => {
        path = at;
        server.once("error", reject);
        server.listen(at, () => resolve());
      }),
    close: async () => {
      closed = true;
      server.close();
      server.closeAllConnections();
    },
  };
}

/** A specification whose command is this JavaScript (a module). */
export function specOf(script: string, changes: Partial<SandboxSpec> = {}): SandboxSpec {
  const id = randomId.next("sb");
  return {
    id,
    isolation: "container",
    volume: id,
    limits: { memoryBytes: 192 * MiB, cpus: 1, pids: 64, diskBytes: 8 * MiB },
    command: ["/bin/node", "--input-type=module", "--eval", script],
    environment: {},
    codeFolder: null,
    door: testDoor(),
    ...changes,
  };
}

export interface Watched {
  readonly sandbox: Sandbox;
  readonly events: readonly SandboxEvent[];
  text(): string;
  /** Resolves when `found` holds for an event or the text; throws after `timeoutMs`. */
  until(found: (events: readonly SandboxEvent[], text: string) => boolean, timeoutMs?: number): Promise<void>;
  /** Resolves with everything printed when the sandbox has ended. */
  ended(timeoutMs?: number): Promise<string>;
}

export async function startWatched(backend: SandboxBackend, spec: SandboxSpec): Promise<Watched> {
  const sandbox = await backend.start(spec);
  const events: SandboxEvent[] = [];
  let text = "";
  let drained = false;
  sandbox.onEvent((event) => events.push(event));
  sandbox.output.on("data", (chunk: Buffer) => (text += chunk.toString("utf8")));
  sandbox.output.once("end", () => (drained = true));
  const until: Watched["until"] = async (found, timeoutMs = 10_000) => {
    const deadline = clock.monotonicMs() + timeoutMs;
    while (!found(events, text)) {
      if (clock.monotonicMs() > deadline)
        throw new Error(`waited in vain; events ${JSON.stringify(events)}; output ${text.slice(0, 500)}`);
      await clock.sleep(10);
    }
  };
  const ended = async (timeoutMs = 10_000): Promise<string> => {
    await until((seen) => drained && seen.some((event) => event.type === "exited"), timeoutMs);
    return text;
  };
  return { sandbox, events, text: () => text, until, ended };
}

/** Runs a script to its end and returns what it printed. */
export async function runToEnd(
  backend: SandboxBackend,
  script: string,
  changes: Partial<SandboxSpec> = {},
): Promise<string> {
  return (await startWatched(backend, specOf(script, changes))).ended();
}

/** A runtime that passes `options` behind the backend's own ones, before the command. */
export function faultyRuntime(host: TestHost, name: string, runtime: string, options: string): string {
  const file = join(host.stateDir, `runtime-${name.replaceAll(/[ ']/g, "-")}`);
  const commands = "run|exec|kill|delete|flags";
  const loop = `for word in "$@"; do case $word in ${commands}) set -- "$@" ${options} ;; esac; set -- "$@" "$word"; shift; done`;
  writeFileSync(file, `#!/bin/sh\n${loop}\nexec ${runtime} "$@"\n`, { mode: 0o755 });
  return file;
}
