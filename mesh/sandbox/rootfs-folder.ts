/** `rootfs:` a folder of the host, copied, so that what runs is what was looked at. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { lstat, readdir, readlink } from "node:fs/promises";
import { join } from "node:path";
import { limits } from "../../protocol/limits.ts";
import { SandboxError } from "./backend.ts";
import type { TarEntry } from "./rootfs-tar.ts";
import type { RootfsTree } from "./rootfs-tree.ts";

/** Hash over names, modes, links and contents; with a tree, everything is written there as well. */
export async function readTree(folder: string, tree?: RootfsTree): Promise<string> {
  const hash = createHash("sha256");
  let entries = 0;
  const visit = async (path: string): Promise<void> => {
    for (const name of (await readdir(join(folder, path))).toSorted()) {
      const at = path === "" ? name : `${path}/${name}`;
      if (++entries > limits.rootfs.entriesMax)
        throw new SandboxError(
          `the folder \`${folder}\` has too many files`,
          `keep it under ${limits.rootfs.entriesMax}`,
        );
      const entry = await entryOf(folder, at);
      hash.update(JSON.stringify([at, entry.kind, entry.mode & 0o777, entry.bytes, entry.link]));
      const read = contentOf(join(folder, at), entry, (piece) => hash.update(piece));
      if (tree) await tree.add(entry, read);
      for await (const piece of read) void piece;
      if (entry.kind === "folder") await visit(at);
    }
  };
  await visit("");
  return hash.digest("hex");
}

async function entryOf(folder: string, path: string): Promise<TarEntry> {
  const info = await lstat(join(folder, path)).catch(() => {
    const remedy = "give it a name in UTF-8, or start again when nobody writes there";
    throw new SandboxError(`\`${join(folder, path)}\` cannot be read by its name`, remedy);
  });
  const base = { path, mode: info.mode & 0o7777, bytes: 0, link: "" };
  if (info.isDirectory()) return { ...base, kind: "folder" };
  if (info.isSymbolicLink()) return { ...base, kind: "symlink", link: await readlink(join(folder, path)) };
  return info.isFile() ? { ...base, kind: "file", bytes: info.size } : { ...base, kind: "device" };
}

async function* contentOf(
  file: string,
  { kind, bytes }: TarEntry,
  seen: (piece: Buffer) => void,
): AsyncGenerator<Buffer, void, undefined> {
  if (kind !== "file") return;
  let left = bytes;
  for await (const piece of createReadStream(file)) {
    const chunk = piece as Buffer;
    left -= chunk.length;
    if (left < 0) throw new SandboxError(`\`${file}\` grew while it was read`, "start again when nobody writes to it");
    seen(chunk);
    yield chunk;
  }
}
