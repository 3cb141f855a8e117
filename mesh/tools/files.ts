import { constants } from "node:fs";
import { mkdir, open, readdir, realpath, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join, relative, sep } from "node:path";
import type { Id } from "../../lib/id.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import type { ToolResults } from "../../protocol/door.ts";
import { limits } from "../../protocol/limits.ts";
import { FilePath } from "../../protocol/names.ts";
import { refusal, type Refusal } from "../../protocol/refusal.ts";
import { sanitise } from "../guard/sanitise.ts";

/**
 * The folders of the operator that agents see through the mesh: one to read, one to write. Paths come in the
 * strict form of the protocol; links are never followed, so that nothing outside the folder can be named.
 */
export class FileTools {
  readonly #readFolder: string | null;
  readonly #writeFolder: string | null;
  readonly #ids: Id;
  #written: Promise<Set<string>> | undefined;

  constructor(folders: { readonly read: string | null; readonly write: string | null }, ids: Id) {
    this.#readFolder = folders.read;
    this.#writeFolder = folders.write;
    this.#ids = ids;
  }

  async list(): Promise<Result<ToolResults["files.list"], Refusal>> {
    if (this.#readFolder === null) return err(notServed("read"));
    const found = await listFiles(this.#readFolder, limits.tool.filesListMax);
    return ok({ files: found.sort((a, b) => (a.path < b.path ? -1 : 1)) });
  }

  async read(path: string): Promise<Result<ToolResults["files.read"] & { readonly removed: number }, Refusal>> {
    if (this.#readFolder === null) return err(notServed("read"));
    const folder = isServable(path) && (await inside(this.#readFolder, path));
    if (!folder) return err(noFile(path));
    let file;
    try {
      // Non-blocking, so that a FIFO cannot hold the mesh; not followed, so that a link cannot lead out.
      file = await open(join(folder, basename(path)), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    } catch {
      return err(noFile(path));
    }
    try {
      const stat = await file.stat();
      if (!stat.isFile()) return err(noFile(path));
      if (stat.size > limits.tool.fileBytesMax)
        return err(
          refusal(
            "too_large",
            `\`${path}\` has ${stat.size} bytes`,
            `files up to ${limits.tool.fileBytesMax} bytes are served`,
          ),
        );
      const bytes = Buffer.alloc(limits.tool.fileBytesMax);
      const { bytesRead } = await file.read(bytes, 0, bytes.length, 0);
      const text = decode(bytes.subarray(0, bytesRead));
      if (text === undefined) return err(refusal("unsupported", `\`${path}\` is not UTF-8 text`, "convert it to text"));
      const clean = sanitise(text);
      return ok({ path, content: clean.text, removed: clean.removed });
    } finally {
      await file.close();
    }
  }

  async write(path: string, content: string): Promise<Result<ToolResults["output.write"], Refusal>> {
    if (this.#writeFolder === null) return err(notServed("write"));
    if (!isServable(path)) return err(refusal("denied", `\`${path}\` cannot be written`, "use a plain relative path"));
    await mkdir(this.#writeFolder, { recursive: true });
    this.#written ??= listFiles(this.#writeFolder, limits.tool.outputFilesMax).then(
      (files) => new Set(files.map((file) => file.path)),
    );
    const written = await this.#written;
    const isNew = !written.has(path);
    if (isNew && written.size >= limits.tool.outputFilesMax) {
      return err(refusal("too_large", `the output folder holds ${written.size} files`, "write to a file that exists"));
    }
    // Counted before it is there, so that many writes at once keep the bound.
    written.add(path);
    const refused = await this.#put(this.#writeFolder, path, Buffer.from(content));
    if (!refused) return ok({ path, bytes: Buffer.byteLength(content) });
    if (isNew) written.delete(path);
    return err(refused);
  }

  /** Whole or not at all: written under another name, then renamed. */
  async #put(root: string, path: string, bytes: Buffer): Promise<Refusal | undefined> {
    const folder = await inside(root, path, true);
    if (!folder) return refusal("denied", `\`${path}\` leaves the output folder`, "use another path");
    const draft = join(folder, `.${this.#ids.next("draft")}`);
    try {
      await writeFile(draft, bytes, { flag: "wx", mode: 0o644, flush: true });
      await rename(draft, join(folder, basename(path)));
      return undefined;
    } catch (error) {
      await rm(draft, { force: true }).catch(() => {});
      const code = (error as NodeJS.ErrnoException).code;
      if (code === "EISDIR" || code === "ENOTDIR") {
        return refusal("conflict", `\`${path}\` is a folder, or leads through a file`, "use another path");
      }
      return refusal(
        "store_failed",
        `\`${path}\` could not be written (${code})`,
        "tell the operator to look at the output folder",
      );
    }
  }
}

/** The strict form of the protocol, no deeper than what is listed, in names that every file system takes. */
const isServable = (path: string): boolean => {
  const segments = path.split("/");
  const short = segments.every((segment) => Buffer.byteLength(segment) <= NAME_BYTES_MAX);
  return short && segments.length <= DEPTH_MAX && FilePath.safeParse(path).success;
};

/** The real folder of `path` below `root`, made if wanted; undefined when a link leads elsewhere or it is not there. */
async function inside(root: string, path: string, make = false): Promise<string | undefined> {
  const wanted = join(root, dirname(path));
  try {
    const realRoot = await realpath(root);
    if (make) await makeBelow(realRoot, dirname(path));
    const real = await realpath(wanted);
    // Equal to the plain join: then no component of it was a link.
    return real === join(realRoot, dirname(path)) ? real : undefined;
  } catch {
    return undefined;
  }
}

/** One level at a time, so that no folder is made behind a link. */
async function makeBelow(realRoot: string, folder: string): Promise<void> {
  let at = realRoot;
  for (const segment of folder.split("/").filter((part) => part !== ".")) {
    at = join(at, segment);
    await mkdir(at).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error;
    });
    if ((await realpath(at)) !== at) throw new Error("a link leads out of the output folder");
  }
}

/** Regular files whose path has the form of the protocol, hidden ones left out; at most `max`. */
async function listFiles(root: string, max: number): Promise<{ path: string; bytes: number }[]> {
  const files: { path: string; bytes: number }[] = [];
  const folders = [root];
  for (let folder = folders.pop(); folder !== undefined && files.length < max; folder = folders.pop()) {
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      const full = join(folder, entry.name);
      const path = relative(root, full).split(sep).join("/");
      if (!isServable(path)) continue;
      if (entry.isDirectory() && path.split("/").length < DEPTH_MAX) folders.push(full);
      else if (entry.isFile() && files.length < max) files.push({ path, bytes: await sizeOf(full) });
    }
  }
  return files;
}

const DEPTH_MAX = 8;
const NAME_BYTES_MAX = 255;

async function sizeOf(path: string): Promise<number> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(
    () => undefined,
  );
  if (!file) return 0;
  try {
    return (await file.stat()).size;
  } finally {
    await file.close();
  }
}

function decode(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

const noFile = (path: string): Refusal =>
  refusal("not_found", `no file \`${path}\``, "ask `files.list` for what there is");
const notServed = (side: "read" | "write"): Refusal =>
  refusal("denied", `this fleet serves no folder to ${side}`, `set \`files.${side}\` in the fleet file`);
