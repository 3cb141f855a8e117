/**
 * The root file system that all sandboxes share: node, the libraries it loads and the agent zone as
 * JavaScript, nothing else. No shell, no package manager, no resolver. Content-addressed: the folder's
 * name is the hash of everything in it, so two builders at once make the same folder.
 */
import { createHash } from "node:crypto";
import {
  chmod,
  constants,
  copyFile,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  writeFile,
  access,
  stat,
  utimes,
} from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { sandboxPaths } from "../../protocol/sandbox-paths.ts";
import { limits } from "../../protocol/limits.ts";
import type { Clock } from "../../lib/clock.ts";
import { readMounts } from "./mounts.ts";
import { compileAgent } from "./rootfs-agent.ts";
import { librariesOf } from "./rootfs-libraries.ts";
import { linkModules, linkScript } from "./rootfs-link.ts";
import { compiledOf, compileScript, starterOf } from "./rootfs-script.ts";

export interface RootfsOptions {
  readonly cacheDir: string;
  /** Root of the Cordon tree, which holds agent/, protocol/ and lib/. */
  readonly projectDir: string;
  readonly nodePath: string;
  readonly clock: Clock;
  /** Where the agent zone's import graph starts, relative to `projectDir`. */
  readonly entries?: readonly string[];
}

/** A file to be: from the host, or of this content. */
type Entry = { readonly from: string } | { readonly content: string };

/** Raise it when `build` lays the same files out in another way: modes, owners. */
const LAYOUT = 3;
const AGENT_ENTRY = "agent/init/main.ts";
/** What it becomes: a script, and beside it what starts it. */
const AGENT_SCRIPT = "opt/cordon/agent/init/main.js";
const AGENT_ENTRIES = [AGENT_ENTRY];
/** Of a root file system that containers of the docker engine are made from: relays run in it, too. */
export const entriesWithRelay: readonly string[] = [...AGENT_ENTRIES, "agent/relay/main.ts"];
const ROOTFS = /^rootfs-[0-9a-f]{32}$/;
const BUILDING = /^building-(\d+)-/;

const fixedFiles: Readonly<Record<string, string>> = {
  "etc/passwd": "root:x:0:0:root:/:/nonexistent\nagent:x:1000:1000:agent:/data:/nonexistent\n",
  "etc/group": "root:x:0:\nagent:x:1000:\n",
  "etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
  "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
  "opt/cordon/package.json": '{"type":"module"}\n',
  // What the door is bound over.
  [sandboxPaths.door.slice(1)]: "",
};
const mountPoints = ["proc", "sys", "dev", "tmp", sandboxPaths.data.slice(1), sandboxPaths.code.slice(1)];

/** Path of the finished folder; builds it when it is not there yet. Throws SandboxError when the agent zone does not compile. */
export async function ensureRootfs(options: RootfsOptions): Promise<string> {
  const entries = await contentOf(options);
  const folder = join(options.cacheDir, `rootfs-${await hashOf(entries)}`);
  await removeDeadDrafts(options.cacheDir);
  await removeIdleFolders(options, folder);
  if (await isWhole(folder, entries)) return folder;
  // Closed to other users of the machine, for the folder under a sandbox's /tmp is open to all.
  await mkdir(options.cacheDir, { recursive: true, mode: 0o700 });
  const draft = await mkdtemp(join(options.cacheDir, `building-${process.pid}-`));
  try {
    await build(draft, entries, options);
    await rename(draft, folder).catch(async (error: NodeJS.ErrnoException) => {
      // Another builder was faster, with the same content.
      if (error.code !== "ENOTEMPTY" && error.code !== "EEXIST") throw error;
    });
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return folder;
}

/** Whether it is there; one that a loss of power has cut short is removed. */
async function isWhole(folder: string, entries: ReadonlyMap<string, Entry>): Promise<boolean> {
  if ((await stat(folder).catch(() => null)) === null) return false;
  const compiled = entries.has(AGENT_SCRIPT) ? [compiledOf(AGENT_SCRIPT)] : [];
  const known = await Promise.all([
    ...[...entries].map(async ([path, entry]) => (await sizeOf(join(folder, path))) === (await sizeIn(entry))),
    ...compiled.map(async (path) => (await sizeOf(join(folder, path))) > 0),
  ]);
  if (known.every(Boolean)) return true;
  // Under a draft's name, so that it is gone at once, for another builder too.
  const aside = await mkdtemp(join(dirname(folder), `building-${process.pid}-`));
  await rename(folder, aside).catch(() => undefined);
  await rm(aside, { recursive: true, force: true });
  return false;
}

const sizeOf = async (path: string): Promise<number> => (await lstat(path).catch(() => null))?.size ?? -1;
const sizeIn = async (entry: Entry): Promise<number> =>
  "from" in entry ? (await stat(entry.from)).size : Buffer.byteLength(entry.content);

async function contentOf({ projectDir, nodePath, entries, clock }: RootfsOptions): Promise<ReadonlyMap<string, Entry>> {
  const files = new Map<string, Entry>();
  for (const [path, content] of Object.entries(fixedFiles)) files.set(path, { content });
  files.set(sandboxPaths.node.slice(1), { from: nodePath });
  for (const [path, from] of await librariesOf(nodePath, clock)) files.set(path, { from });
  const from = entries ?? AGENT_ENTRIES;
  const compiled = await compileAgent(projectDir, from);
  for (const [path, content] of compiled) files.set(`opt/cordon/${path}`, { content });
  for (const entry of from) {
    const path = entry.replace(/\.ts$/, ".js");
    const link = entry === AGENT_ENTRY ? linkScript : linkModules;
    files.set(`opt/cordon/${path}`, { content: link(compiled, path) });
  }
  if (from.includes(AGENT_ENTRY)) files.set(sandboxPaths.init.slice(1), { content: starterOf(AGENT_SCRIPT) });
  return new Map([...files].toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

async function hashOf(entries: ReadonlyMap<string, Entry>): Promise<string> {
  const hash = createHash("sha256").update(`${LAYOUT}\n${mountPoints.join("\n")}`);
  for (const [path, entry] of entries) {
    const bytes = "from" in entry ? await readFile(entry.from) : entry.content;
    hash.update(`\0${path}\0${createHash("sha256").update(bytes).digest("hex")}`);
  }
  return hash.digest("hex").slice(0, 32);
}

async function build(
  draft: string,
  entries: ReadonlyMap<string, Entry>,
  { nodePath, clock }: RootfsOptions,
): Promise<void> {
  const folders = new Set([draft]);
  const makeFolder = async (path: string): Promise<void> => {
    if (folders.has(path)) return;
    await makeFolder(dirname(path));
    folders.add(path);
    await mkdir(path, { recursive: true });
  };
  for (const point of mountPoints) await makeFolder(join(draft, point));
  for (const [path, entry] of entries) {
    const file = join(draft, path);
    await makeFolder(dirname(file));
    if ("from" in entry) await copyFile(entry.from, file, constants.COPYFILE_FICLONE);
    else await writeFile(file, entry.content);
    // The sandbox's user is a stranger to these files: reading is all it gets, whatever the builder's umask.
    await chmod(file, "from" in entry ? 0o555 : 0o444);
  }
  if (entries.has(AGENT_SCRIPT)) await compileScript(nodePath, join(draft, AGENT_SCRIPT), clock);
  for (const folder of folders) await chmod(folder, 0o755);
  // The runtime gives a tmpfs the mode of the folder it covers, whatever the mount option says.
  await chmod(join(draft, "tmp"), 0o1777);
}

/** Older versions, each as large as node. Each use renews a folder's time; one that a sandbox has mounted stays in any case. */
async function removeIdleFolders({ cacheDir, clock }: RootfsOptions, current: string): Promise<void> {
  const nowMs = clock.nowMs();
  await utimes(current, nowMs / 1000, nowMs / 1000).catch(() => undefined);
  const mounted = new Set((await readMounts()).map((mount) => basename(mount.root)));
  for (const name of await readdir(cacheDir).catch(() => [])) {
    const path = join(cacheDir, name);
    if (!ROOTFS.test(name) || mounted.has(name) || path === current) continue;
    const info = await stat(path).catch(() => null);
    if (info && nowMs - info.mtimeMs > limits.sandbox.rootfsIdleMs) await rm(path, { recursive: true, force: true });
  }
}

/** Drafts of builders that were killed. */
export async function removeDeadDrafts(cacheDir: string): Promise<void> {
  for (const name of await readdir(cacheDir).catch(() => [])) {
    const pid = BUILDING.exec(name)?.[1];
    if (
      pid &&
      !(await access(`/proc/${pid}`).then(
        () => true,
        () => false,
      ))
    ) {
      await rm(join(cacheDir, name), { recursive: true, force: true });
    }
  }
}
