import { chmod, cp, mkdtemp } from "node:fs/promises";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { systemClock as clock } from "../../lib/clock.ts";
import { randomId as id } from "../../lib/id.ts";
import type { AssaultLine, AssaultReport } from "../../protocol/assault.ts";
import { sandboxPaths } from "../../protocol/sandbox-paths.ts";
import { readSurroundings } from "../config/surroundings.ts";
import type { MeshOptions } from "../main.ts";
import { assault } from "../sandbox/assault/assault.ts";
import { catalogue } from "../sandbox/assault/catalogue.ts";
import { byCommand, inBackend } from "../sandbox/assault/container.ts";
import { removeFolder } from "../sandbox/rootfs-removal.ts";
import { parseTemplate } from "../sandbox/assault/template.ts";
import { SandboxError, type Isolation } from "../sandbox/backend.ts";
import { ensureRootfs } from "../sandbox/rootfs.ts";
import { CommandError } from "./failure.ts";
import { localBackend } from "./machine.ts";

const projectDir = fileURLToPath(new URL("../..", import.meta.url));
const cacheDir = join(projectDir, ".cache", "rootfs");
const ISOLATIONS: Readonly<Record<string, Isolation>> = { oci: "container", gvisor: "gvisor", docker: "container" };

/** `assault`: prints one JSON line an attempt and a report. Exit code 0: all were stopped, 1: one was not, 2: no verdict. */
export async function runAssault(options: MeshOptions): Promise<number> {
  const command = options["runtime-cmd"];
  const report =
    command === undefined
      ? await onBackend(options.backend ?? "oci", options)
      : await onLauncher(command, options.backend);
  say({ kind: "report", report });
  if (report.results.some(({ verdict }) => verdict === "out")) return 1;
  return report.fault === undefined ? 0 : 2;
}

async function onBackend(name: string, options: MeshOptions): Promise<AssaultReport> {
  const isolation = Object.hasOwn(ISOLATIONS, name) ? ISOLATIONS[name] : undefined;
  if (isolation === undefined)
    throw new CommandError(`no backend \`${name}\`: use one of ${Object.keys(ISOLATIONS).join(", ")}`);
  const state = mkdtempSync(join(tmpdir(), "cordon-assault-state-"));
  try {
    const backend = await localBackend({
      ...{ installation: id.next("i").slice(2, 10), state, clock },
      backend: name === "docker" ? { name, socketPath: options.socket ?? null, relay: false } : undefined,
    });
    const short = await backend.shortfalls(isolation);
    if (short.length > 0)
      throw new SandboxError(short.map(({ what }) => what).join("; "), short.map(({ remedy }) => remedy).join("; "));
    const launch = inBackend(backend, id, isolation);
    try {
      return await attack(`the ${name} backend`, launch, sandboxPaths.door, isolation);
    } finally {
      await backend.sweep();
    }
  } finally {
    rmSync(state, { recursive: true, force: true });
  }
}

async function onLauncher(text: string, backend: string | undefined): Promise<AssaultReport> {
  if (backend !== undefined)
    throw new CommandError("`--backend` and `--runtime-cmd` are two subjects: give one of them");
  const template = parseTemplate(text);
  if (!template.ok) throw new CommandError(template.error);
  const folder = await mkdtemp(join(tmpdir(), "cordon-assault-rootfs-"));
  try {
    await chmod(folder, 0o755);
    const rootfs = join(folder, "rootfs");
    // A copy: a weak container may write to it, and ours are shared by all agents.
    await cp(await ensureRootfs({ cacheDir, projectDir, nodePath: process.execPath, clock }), rootfs, {
      recursive: true,
      verbatimSymlinks: true,
    });
    const searchPath = readSurroundings().path.join(":");
    return await attack(text, byCommand({ template: template.value, rootfs, searchPath, clock }), null, "container");
  } finally {
    await removeFolder(folder, clock);
  }
}

function attack(
  subject: string,
  launch: Parameters<typeof assault>[0]["launch"],
  door: string | null,
  isolation: Isolation,
): Promise<AssaultReport> {
  const onResult = (told: { readonly id: string; readonly stopped: boolean }): void =>
    say({ kind: "result", id: told.id, stopped: told.stopped, of: catalogue.length });
  const stop = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => stop.abort());
  return assault({
    ...{ subject, launch, door, isolation, clock, id, onResult, signal: stop.signal },
    temporaryFolder: tmpdir(),
  });
}

const say = (line: AssaultLine): void => void process.stdout.write(`${JSON.stringify(line)}\n`);
