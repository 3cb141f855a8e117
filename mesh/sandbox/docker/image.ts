/** The sandbox's root file system as an image of the engine: imported once, found again by what it was made from. */
import { basename } from "node:path";
import { SandboxError } from "../backend.ts";
import { startProgram } from "../process.ts";
import type { DockerEngine } from "./engine.ts";

const IMPORT_MS = 300_000;
const IMPORTS_MAX = 3;
/** GNU tar's exit code when a file changed while it was read: also when another root file system has linked to it. */
const TAR_CHANGED = 1;
const ID = /^sha256:[0-9a-f]{64}$/;

/** Id of the image of `rootfs`, a folder whose name is the hash of its content. Throws SandboxError. */
export async function ensureImage(engine: DockerEngine, rootfs: string): Promise<string> {
  const [repository, tag] = ["cordon-rootfs", basename(rootfs).toLowerCase()];
  const known = await engine.try("GET", `/images/${repository}:${tag}/json`);
  if (known.status === 200) return idOf(known.body, "Id");
  for (let attempt = 1; attempt <= IMPORTS_MAX; attempt++) {
    if (await importOf(engine, rootfs, { repository, tag }))
      return idOf(await engine.ask("GET", `/images/${repository}:${tag}/json`), "Id");
  }
  throw new SandboxError("the root file system changes while it is read", "see `cordon doctor`");
}

/** False when the archive may not be the whole folder as it is; then there is no image. */
async function importOf(
  engine: DockerEngine,
  rootfs: string,
  { repository, tag }: { readonly repository: string; readonly tag: string },
): Promise<boolean> {
  const tar = startProgram("tar", ["--create", "--numeric-owner", "--owner=0", "--group=0", "-C", rootfs, "."]);
  const query = new URLSearchParams({ fromSrc: "-", repo: repository, tag });
  const forget = () => engine.try("DELETE", `/images/${repository}:${tag}`).catch(() => undefined);
  try {
    await engine.ask("POST", `/images/create?${query.toString()}`, tar.output, IMPORT_MS);
  } catch (error) {
    tar.kill();
    await forget();
    throw error;
  }
  // Half a stream is a whole image to the engine; only the program that made it knows that it was all.
  const exit = await tar.ended;
  if (exit !== 0) await forget();
  if (exit > TAR_CHANGED) throw new SandboxError("the root file system could not be read", "see `cordon doctor`");
  return exit === 0;
}

export function idOf(answer: unknown, key: string): string {
  const id = typeof answer === "object" && answer !== null ? (answer as Record<string, unknown>)[key] : undefined;
  if (typeof id === "string" && (ID.test(id) || /^[0-9a-f]{64}$/.test(id))) return id;
  throw new SandboxError("docker answered without an id", "update the docker engine");
}
