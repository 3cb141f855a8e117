/**
 * The npm package `@anthropic-ai/sandbox-runtime` (bubblewrap, with proxies on the host), used as its readme says: once
 * initialised, one wrapped command a start. Its default reads the host's files, so the door stands at its own path; Unix
 * sockets have to be allowed, which takes its filter of system calls away.
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { type Contender, scriptFor, timedDoor } from "./trial.ts";

const modules = fileURLToPath(new URL("../peers/node_modules", import.meta.url));
const entry = join(modules, "@anthropic-ai/sandbox-runtime/dist/index.js");
const programs = ["bwrap", "socat", "rg"];

interface SandboxRuntime {
  readonly SandboxManager: {
    initialize(settings: object): Promise<void>;
    wrapWithSandbox(command: string): Promise<string>;
    reset(): Promise<void>;
  };
}

/** Why it cannot be measured here, or null. */
export function sandboxRuntimeLack(): string | null {
  if (!existsSync(entry)) return "run `npm ci --ignore-scripts` in test/performance/peers";
  const missing = programs.filter((name) => spawnSync("which", [name]).status !== 0);
  return missing.length === 0
    ? null
    : `${missing.join(", ")} missing: run \`apt-get install bubblewrap socat ripgrep\``;
}

export async function sandboxRuntime(name: string, against: string): Promise<Contender & { close(): Promise<void> }> {
  const { SandboxManager } = (await import(pathToFileURL(entry).href)) as SandboxRuntime;
  const folder = mkdtempSync(join(tmpdir(), "cordon-peer-"));
  await SandboxManager.initialize({
    network: { allowedDomains: [], deniedDomains: [], allowAllUnixSockets: true },
    filesystem: { denyRead: [], allowWrite: [folder], denyWrite: [] },
  });
  return {
    ...{ name, against },
    async run(round) {
      const socket = join(folder, `${round}.sock`);
      const door = timedDoor();
      await door.listen(socket);
      const from = performance.now();
      const command = await SandboxManager.wrapWithSandbox(
        `exec ${process.execPath} --input-type=module --eval '${scriptFor(socket)}'`,
      );
      // A group of its own: the wrapper leaves its proxies' relays behind when it is ended by a signal.
      const child = spawn(command, { shell: true, stdio: ["ignore", "pipe", "ignore"], detached: true });
      await once(child.stdout, "data");
      const sample = { lineMs: performance.now() - from, doorMs: (await door.asked) - from };
      child.stdout.resume();
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
      await door.close();
      return sample;
    },
    async close() {
      await SandboxManager.reset();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
