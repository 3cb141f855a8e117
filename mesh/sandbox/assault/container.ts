/** A container under attack: in a sandbox of ours, or in whatever somebody else's launcher makes. */
import { spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { createServer } from "node:http";
import type { Clock } from "../../../lib/clock.ts";
import type { Id } from "../../../lib/id.ts";
import { limits } from "../../../protocol/limits.ts";
import { sandboxPaths } from "../../../protocol/sandbox-paths.ts";
import type { DoorListener, Isolation, SandboxBackend } from "../backend.ts";
import { fill, type Template } from "./template.ts";

export interface Container {
  readonly output: Readable;
  /** Resolves when nothing more will be printed. */
  readonly ended: Promise<void>;
  /** What the launcher said to standard error, for people. */
  errors(): string;
  stop(): Promise<void>;
}

/** Starts a container that runs `script` of the code folder with node. */
export type Launcher = (script: string, codeFolder: string) => Promise<Container>;

const MiB = 1024 ** 2;
/** Less than one processor, so that what is left to others shows on a machine that has one only, too. */
const SIZES = { memoryBytes: 192 * MiB, cpus: 0.5, pids: 64, diskBytes: 8 * MiB } as const;
const ERROR_CHARS_MAX = 2_000;

export function inBackend(backend: SandboxBackend, id: Id, isolation: Isolation): Launcher {
  return async (script, codeFolder) => {
    const name = id.next("assault");
    const sandbox = await backend.start({
      id: name,
      volume: name,
      limits: SIZES,
      ...{ isolation },
      command: [sandboxPaths.node, `${sandboxPaths.code}/${script}`],
      environment: {},
      codeFolder,
      door: answeringDoor(),
    });
    const stop = async (): Promise<void> => {
      await sandbox.stop(0);
      await backend.eraseVolume(name);
    };
    return { output: sandbox.output, ended: endOf(sandbox.output), errors: () => "", stop };
  };
}

export interface LauncherParts {
  readonly template: Template;
  readonly rootfs: string;
  /** Where the launcher's program is looked for, colon-separated. */
  readonly searchPath: string;
  readonly clock: Clock;
}

/** The launcher gets an environment without anything of ours, and a process group of its own, which ends with it. */
export function byCommand({ template, rootfs, searchPath, clock }: LauncherParts): Launcher {
  return async (script, codeFolder) => {
    const command = [sandboxPaths.node, `${sandboxPaths.code}/${script}`];
    const [program = "", ...args] = fill(template, { rootfs, code: codeFolder, command });
    const child = spawn(program, args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { PATH: searchPath, HOME: "/", LC_ALL: "C" },
      detached: true,
    });
    let errors = "";
    child.stderr.on("data", (piece: Buffer) => (errors = (errors + piece.toString("utf8")).slice(-ERROR_CHARS_MAX)));
    child.once("error", (error) => (errors += `\`${program}\`: ${error.message}`));
    const closed = new Promise<void>((resolve) => child.once("close", () => resolve()).once("error", () => resolve()));
    const signal = (name: NodeJS.Signals): void => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, name);
      } catch {
        // The whole group has ended.
      }
    };
    const stop = async (): Promise<void> => {
      signal("SIGTERM");
      const timer = new AbortController();
      const late = clock.sleep(limits.assault.stopGraceMs, timer.signal).catch(() => undefined);
      await Promise.race([closed, late]);
      timer.abort();
      signal("SIGKILL");
    };
    return { output: child.stdout, ended: closed, errors: () => errors.trim(), stop };
  };
}

const endOf = (stream: Readable): Promise<void> =>
  new Promise((resolve) => stream.once("end", () => resolve()).once("close", () => resolve()));

function answeringDoor(): DoorListener {
  const server = createServer((_, response) => response.end());
  return {
    listen: (path) =>
      new Promise((resolve, reject) => {
        server.once("error", reject);
        server.listen(path, () => resolve());
      }),
    close: async () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
