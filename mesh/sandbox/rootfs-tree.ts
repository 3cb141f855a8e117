/**
 * A root file system in the making. Paths come from archives that may be hostile; nothing is ever written through a
 * link: each path is resolved here, inside the root, step by step, as the container itself would.
 */
import fs from "node:fs";
import { join } from "node:path";
import { limits } from "../../protocol/limits.ts";
import { SandboxError } from "./backend.ts";
import type { TarEntry } from "./rootfs-tar.ts";

const WHITEOUT = ".wh.";
const OPAQUE = ".wh..wh..opq";
/** Permission bits alone: no set-uid, no set-gid. */
const MODE_MASK = 0o777;
const LINKS_FOLLOWED_MAX = 40;

export class RootfsTree {
  readonly #root: string;
  /** What this layer has made, with the folders above it: whiteouts speak of the layers below. */
  #made = new Set<string>();
  /** Folders of which this layer has hidden all below: what is there since is its own, however often it says so. */
  #opaque = new Set<string>();
  #bytes = 0;
  #entries = 0;

  /** `root`: an empty folder that nobody else writes to. */
  constructor(root: string) {
    this.#root = root;
  }

  nextLayer(): void {
    this.#made = new Set();
    this.#opaque = new Set();
  }

  async add(entry: TarEntry, content: AsyncIterable<Buffer>): Promise<void> {
    this.#bytes += entry.bytes;
    if (this.#bytes > limits.rootfs.bytesMax || ++this.#entries > limits.rootfs.entriesMax)
      fail("is too large", `keep it under ${limits.rootfs.bytesMax} bytes and ${limits.rootfs.entriesMax} files`);
    const parts = partsOf(entry.path);
    const name = parts.pop();
    if (name === undefined) return;
    const folder = this.folder(parts);
    if (name.startsWith(WHITEOUT)) return this.#whiteOut(folder, name);
    const path = join(folder, name);
    // Devices and pipes have no use in a sandbox, whose /dev is its own.
    if (entry.kind === "device") return;
    for (let at = path; at !== ""; at = at.slice(0, Math.max(0, at.lastIndexOf("/")))) this.#made.add(at);
    if (entry.kind === "folder") return this.#makeFolder(path, entry.mode);
    this.#clear(path);
    if (entry.kind === "symlink") fs.symlinkSync(entry.link, this.#at(path));
    else if (entry.kind === "hardlink") this.#hardLink(path, entry.link);
    else await this.#write(path, entry.mode, content);
  }

  /** A folder inside the root with no link on its way; made where it is missing. Relative to the root. */
  folder(wanted: readonly string[]): string {
    const todo = [...wanted];
    let at = "";
    let followed = 0;
    let steps = 0;
    for (let part = todo.shift(); part !== undefined; part = todo.shift()) {
      // Links can lead back and forth on their way: each of a million files would cost a look at thousands of folders.
      if (++steps > limits.rootfs.stepsMax) fail("has links that go a long way round");
      if (part === "..") {
        at = at.slice(0, Math.max(0, at.lastIndexOf("/")));
        continue;
      }
      const next = at === "" ? part : `${at}/${part}`;
      const info = fs.lstatSync(this.#at(next), { throwIfNoEntry: false });
      if (info === undefined) fs.mkdirSync(this.#at(next), 0o755);
      if (info?.isSymbolicLink()) {
        if (++followed > LINKS_FOLLOWED_MAX) fail("has links that go in circles");
        const target = fs.readlinkSync(this.#at(next));
        if (target.startsWith("/")) at = "";
        todo.unshift(...target.split("/").filter((each) => each !== "" && each !== "."));
      } else if (info !== undefined && !info.isDirectory()) {
        fail(`has a file where \`${wanted.join("/")}\` needs a folder`);
      } else at = next;
    }
    return at;
  }

  /** A real folder of exactly this name at the root's top or below, whatever an archive has put there. */
  realFolder(path: string, mode = 0o755): void {
    let at = "";
    for (const part of path.split("/")) {
      at = at === "" ? part : `${at}/${part}`;
      if (!fs.lstatSync(this.#at(at), { throwIfNoEntry: false })?.isDirectory()) {
        this.#clear(at);
        fs.mkdirSync(this.#at(at));
        fs.chmodSync(this.#at(at), 0o755);
      }
    }
    fs.chmodSync(this.#at(at), mode);
  }

  /** A file of ours, in the place of whatever stood there. */
  put(path: string, text: string, mode = 0o444): void {
    this.realFolder(path.slice(0, path.lastIndexOf("/")));
    this.#clear(path);
    fs.writeFileSync(this.#at(path), text, { flag: "wx", mode });
    fs.chmodSync(this.#at(path), mode);
  }

  /** Text of a regular file that no link leads to; empty when there is none. */
  read(path: string): string {
    const real = path
      .split("/")
      .every((_, depth, all) => !this.#stat(all.slice(0, depth + 1).join("/"))?.isSymbolicLink());
    const info = real ? this.#stat(path) : undefined;
    if (!info?.isFile() || info.size > limits.rootfs.headerBytesMax) return "";
    return fs.readFileSync(this.#at(path), "utf8");
  }

  remove(path: string): void {
    this.realFolder(path.slice(0, Math.max(0, path.lastIndexOf("/"))) || ".");
    this.#clear(path);
  }

  #at(path: string): string {
    return path === "" ? this.#root : `${this.#root}/${path}`;
  }

  #stat(path: string): fs.Stats | undefined {
    return fs.lstatSync(this.#at(path), { throwIfNoEntry: false });
  }

  #makeFolder(path: string, mode: number): void {
    const info = this.#stat(path);
    // A link to a folder stands for it, as in most unpackers; another layer's file does not.
    if (info?.isSymbolicLink() && this.#stat(this.folder(path.split("/")))?.isDirectory()) return;
    if (!info?.isDirectory()) {
      this.#clear(path);
      fs.mkdirSync(this.#at(path));
    }
    fs.chmodSync(this.#at(path), mode & MODE_MASK);
  }

  #clear(path: string): void {
    if (path === "" || path === ".") return;
    // Removes links themselves, never what they lead to.
    fs.rmSync(this.#at(path), { recursive: true, force: true });
  }

  #hardLink(path: string, link: string): void {
    const parts = partsOf(link);
    const name = parts.pop() ?? "";
    const target = join(this.folder(parts), name);
    if (!this.#stat(target)?.isFile()) fail(`links to \`${link.slice(0, 100)}\`, which is no file of it`);
    fs.linkSync(this.#at(target), this.#at(path));
  }

  async #write(path: string, mode: number, content: AsyncIterable<Buffer>): Promise<void> {
    const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = fs.constants;
    const fd = fs.openSync(this.#at(path), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
    try {
      for await (const piece of content) fs.writeSync(fd, piece);
      fs.fchmodSync(fd, mode & MODE_MASK);
    } finally {
      fs.closeSync(fd);
    }
  }

  #whiteOut(folder: string, name: string): void {
    if (name === OPAQUE) {
      if (this.#opaque.has(folder)) return;
      this.#opaque.add(folder);
    }
    const hidden = name === OPAQUE ? fs.readdirSync(this.#at(folder)) : [name.slice(WHITEOUT.length)];
    for (const each of hidden) {
      if (each === "" || each === "." || each === "..") fail("takes away what has no name");
      const path = join(folder, each);
      if (!this.#made.has(path)) this.#clear(path);
    }
  }
}

/** Throws SandboxError for a path that leads out, or that no file system would take. */
function partsOf(path: string): string[] {
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  const { pathBytesMax, pathDepthMax } = limits.rootfs;
  if (path.startsWith("/") || parts.includes("..") || path.includes("\0"))
    fail(`has the path \`${path.slice(0, 100).replaceAll("\0", "\\0")}\`, which leads out of it`);
  if (Buffer.byteLength(path) > pathBytesMax || parts.length > pathDepthMax) fail("has a path that is too long");
  return parts;
}

function fail(why: string, remedy = "build the image again with an ordinary tool"): never {
  throw new SandboxError(`the root file system ${why}`, remedy);
}
