/**
 * Root file systems of guests: somebody else's files, with our own runtime beside them, so that PID 1 is ours whatever
 * the image holds. Content-addressed like the agents' own one; read-only; shared by all agents that ask for the same.
 */
import { createHash } from "node:crypto";
import fs from "node:fs";
import { chmod, link, lstat, mkdir, mkdtemp, readdir, readFile, rename, rm, utimes, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { limits } from "../../protocol/limits.ts";
import { guestRuntime, sandboxPaths } from "../../protocol/sandbox-paths.ts";
import type { Clock } from "../../lib/clock.ts";
import { SandboxError } from "./backend.ts";
import { readMounts } from "./mounts.ts";
import { runProgram } from "./process.ts";
import { removeFolder } from "./rootfs-removal.ts";
import { removeDeadDrafts, type RootfsOptions } from "./rootfs.ts";
import { DOCKER_SOCKET, DockerEngine } from "./docker/engine.ts";
import { unpackEngineImage } from "./rootfs-engine.ts";
import { readImage, unpackImage } from "./rootfs-image.ts";
import { installedIn, installPackages, readArchive } from "./rootfs-packages.ts";
import { readTree } from "./rootfs-folder.ts";
import { RootfsTree } from "./rootfs-tree.ts";

/** What an agent wants to stand on instead of the minimal root file system. */
export type RootfsRequest =
  | { readonly kind: "packages"; readonly names: readonly string[] }
  /** A folder with an OCI image layout. */
  | { readonly kind: "image"; readonly folder: string }
  /** An image of the machine's Docker engine, by the digest that the engine knows it by. */
  | { readonly kind: "engine"; readonly digest: string }
  | { readonly kind: "folder"; readonly folder: string };

export interface GuestRootfsOptions extends Pick<RootfsOptions, "cacheDir" | "clock"> {
  /** The agents' own root file system, from `ensureRootfs`: our runtime comes from it. */
  readonly base: string;
  readonly dockerSocket?: string;
}

/** Raise it when the same request must give another tree. */
const LAYOUT = 1;
const GUEST = /^guest-[0-9a-f]{32}$/;
const AGENT_UID = 1000;

/** Where something stands, and what it is called in the cache. */
interface Source {
  readonly key: string;
  build(tree: RootfsTree, folder: string): Promise<void>;
}

/** Path of the finished folder; builds it when it is not there yet. Throws SandboxError. */
export async function ensureGuestRootfs(request: RootfsRequest, options: GuestRootfsOptions): Promise<string> {
  const { cacheDir, clock, base } = options;
  const source = await sourceOf(request, options);
  const name = (key: string): string =>
    `guest-${createHash("sha256")
      .update(`${LAYOUT}\0${basename(base)}\0${key}`)
      .digest("hex")
      .slice(0, 32)}`;
  await mkdir(cacheDir, { recursive: true, mode: 0o700 });
  await removeDeadDrafts(cacheDir);
  // What was asked for by name is called by what it turned out to be.
  const resolvedIn = async (root: string): Promise<string> =>
    name(request.kind === "packages" ? (await installedIn(root)).join("\n") : source.key);
  const note = join(cacheDir, `request-${createHash("sha256").update(source.key).digest("hex").slice(0, 32)}`);
  const last = await lastBuilt(cacheDir, note);
  const known = last === null ? null : await resolvedIn(last);
  await removeIdle(cacheDir, [known, last && basename(last)], clock);
  if (known !== null && (await stands(join(cacheDir, known)))) return join(cacheDir, known);
  const draft = await mkdtemp(join(cacheDir, `building-${process.pid}-`));
  try {
    const root = join(draft, "root");
    await mkdir(root);
    const tree = new RootfsTree(root);
    // Only our runtime is another one: the rest is shared with the folder that stands already, file by file.
    if (last === null) await source.build(tree, root);
    else await shareFiles(last, root, clock);
    const folder = await resolvedIn(root);
    await addRuntime(tree, root, base);
    await rename(root, join(cacheDir, folder)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOTEMPTY" && error.code !== "EEXIST") throw error;
    });
    await writeFile(`${note}.new`, folder, { mode: 0o600 });
    await rename(`${note}.new`, note);
    return join(cacheDir, folder);
  } finally {
    await removeFolder(draft, clock);
  }
}

const stands = (path: string): Promise<boolean> =>
  lstat(path).then(
    () => true,
    () => false,
  );

/** The folder that this request gave last, for whatever runtime. */
async function lastBuilt(cacheDir: string, note: string): Promise<string | null> {
  const name = (await readFile(note, "latin1").catch(() => "")).trim();
  return GUEST.test(name) && (await stands(join(cacheDir, name))) ? join(cacheDir, name) : null;
}

/** Hard links: nobody writes to a file of the cache, and what we replace is unlinked first. */
async function shareFiles(from: string, to: string, clock: Clock): Promise<void> {
  const done = await runProgram("cp", ["-a", "-l", "-T", "--", from, to], { clock });
  if (done.code !== 0) throw new SandboxError(`\`${from}\` could not be shared: ${done.stderr.trim()}`, "remove it");
}

async function sourceOf(request: RootfsRequest, { clock, dockerSocket }: GuestRootfsOptions): Promise<Source> {
  switch (request.kind) {
    case "packages": {
      const archive = await readArchive();
      const names = [...new Set(request.names)].toSorted();
      const key = JSON.stringify(["packages", process.arch, archive.suite, archive.text, names]);
      return {
        key,
        build: async (_, folder) => {
          await installPackages(names, archive, folder, clock);
          strip(folder);
        },
      };
    }
    case "image": {
      const image = await readImage(request.folder);
      return { key: `image\0${image.digest}`, build: (tree) => unpackImage(request.folder, image, tree) };
    }
    case "engine":
      return {
        key: `engine\0${request.digest}`,
        build: (tree, folder) =>
          unpackEngineImage(
            new DockerEngine(dockerSocket ?? DOCKER_SOCKET, clock),
            request.digest,
            tree,
            dirname(folder),
          ),
      };
    case "folder": {
      const key = `folder\0${await readTree(request.folder)}`;
      return {
        key,
        build: async (tree) => {
          if (`folder\0${await readTree(request.folder, tree)}` !== key)
            throw new SandboxError(
              `\`${request.folder}\` changed while it was copied`,
              "start again when nobody writes to it",
            );
        },
      };
    }
  }
}

/**
 * No set-uid programs and no devices: mmdebstrap makes both. Walks by hand: Node's recursive listing follows links to
 * folders, and `/var/run` leads to the host's.
 */
function strip(folder: string): void {
  const SPECIAL = 0o7000;
  for (const name of fs.readdirSync(folder)) {
    const path = join(folder, name);
    const info = fs.lstatSync(path);
    if (info.isSymbolicLink()) continue;
    if (!info.isFile() && !info.isDirectory()) {
      fs.rmSync(path);
      continue;
    }
    if ((info.mode & SPECIAL) !== 0) fs.chmodSync(path, info.mode & 0o777);
    if (info.isDirectory()) strip(path);
  }
}

/** PID 1, Node with its own loader and libraries, and the places that the fence mounts over. */
async function addRuntime(tree: RootfsTree, root: string, base: string): Promise<void> {
  const places = ["proc", "sys", "dev", sandboxPaths.data.slice(1), sandboxPaths.code.slice(1)];
  tree.remove("dev");
  for (const place of places) tree.realFolder(place);
  tree.realFolder("tmp", 0o1777);
  tree.put(sandboxPaths.door.slice(1), "");
  // The host's, where mmdebstrap has put them; nothing resolves names inside.
  for (const file of ["etc/resolv.conf", "etc/hostname"]) tree.remove(file);
  tree.put("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n");
  const users = tree.read("etc/passwd");
  if (!users.split("\n").some((line) => line.split(":")[2] === String(AGENT_UID)))
    tree.put("etc/passwd", `${users}agent:x:${AGENT_UID}:${AGENT_UID}:agent:/data:/nonexistent\n`);
  tree.remove("opt/cordon");
  await linkTree(join(base, "opt/cordon"), join(root, "opt/cordon"));
  const runtime = join(root, dirname(guestRuntime.node).slice(1));
  await mkdir(join(runtime, "lib"), { recursive: true });
  await link(join(base, sandboxPaths.node), join(root, guestRuntime.node));
  for (const top of (await readdir(base)).filter((name) => /^(?:lib|lib64|usr)$/.test(name))) {
    for (const file of filesBelow(join(base, top))) {
      await link(file, join(runtime, "lib", basename(file)));
      if (basename(file).startsWith("ld-")) await link(file, join(root, guestRuntime.loader));
    }
  }
  await chmod(root, 0o755);
}

function filesBelow(folder: string): readonly string[] {
  return fs.readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? filesBelow(path) : entry.isFile() ? [path] : [];
  });
}

/** Hard links: a runtime takes no room however many root file systems hold it. */
async function linkTree(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true });
  await chmod(to, 0o755);
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    await (entry.isDirectory() ? linkTree(source, target) : link(source, target));
  }
}

/** Those that nobody has asked for in a long time; one that a sandbox has mounted stays in any case. */
async function removeIdle(cacheDir: string, current: readonly (string | null)[], clock: Clock): Promise<void> {
  const nowMs = clock.nowMs();
  for (const name of current)
    if (name !== null) await utimes(join(cacheDir, name), nowMs / 1000, nowMs / 1000).catch(() => undefined);
  const mounted = new Set((await readMounts()).map((mount) => basename(mount.root)));
  for (const name of await readdir(cacheDir)) {
    if (!GUEST.test(name) || mounted.has(name) || current.includes(name)) continue;
    const info = await lstat(join(cacheDir, name)).catch(() => null);
    if (info && nowMs - info.mtimeMs > limits.rootfs.idleMs)
      await rm(join(cacheDir, name), { recursive: true, force: true });
  }
}
