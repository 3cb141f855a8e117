/**
 * `image:` of the machine's Docker engine. What the engine writes out (`docker save`) is unpacked only as far as it is
 * what the digest names: the engine may hold other bytes under it, or send half of them.
 */
import { createHash } from "node:crypto";
import { constants, createReadStream, createWriteStream } from "node:fs";
import { mkdir, open } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { z } from "zod";
import { parseJson } from "../../lib/json.ts";
import { limits } from "../../protocol/limits.ts";
import { SandboxError } from "./backend.ts";
import type { DockerEngine } from "./docker/engine.ts";
import { Config, hashing } from "./rootfs-image.ts";
import { readTar } from "./rootfs-tar.ts";
import type { RootfsTree } from "./rootfs-tree.ts";

/** What is read of an export, and nothing else: engines of all ages put their layers in one of these places. */
const MEMBER = /^(?:manifest\.json|[0-9a-f]{64}\.json|[0-9a-f]{64}\/layer\.tar|blobs\/sha256\/[0-9a-f]{64})$/;
/** A layer that stands already, in exports of old engines. */
const SAME = /^\.\.\/([0-9a-f]{64}\/layer\.tar)$/;
const GZIP = Buffer.from([0x1f, 0x8b]);
const EXPORT_MS = 600_000;

const Member = z.string().regex(MEMBER);
const Manifest = z
  .array(z.object({ Config: Member, Layers: z.array(Member).min(1).max(limits.rootfs.layersMax) }))
  .length(1);

/** Unpacks the image `digest` into `tree`; what is written meanwhile stands in `draft`. Throws SandboxError. */
export async function unpackEngineImage(
  engine: DockerEngine,
  digest: string,
  tree: RootfsTree,
  draft: string,
): Promise<void> {
  const known = await engine.try("GET", `/images/${digest}/json`);
  if (known.status === 404) throw refusal(digest, "is not there", "pull or build it, and name its id");
  const folder = join(draft, "export");
  const places = await engine.download(`/images/${digest}/get`, EXPORT_MS, (answer) => writeMembers(answer, folder));
  const path = (member: string): string => places.get(member) ?? fail(digest, `lacks \`${member}\``);
  const manifest = Manifest.safeParse(jsonOf(await readBounded(path("manifest.json"), digest), digest));
  const [image] = manifest.success ? manifest.data : [];
  if (!image) return fail(digest, "is exported in a form that is not known");
  const bytes = await readBounded(path(image.Config), digest);
  if (`sha256:${createHash("sha256").update(bytes).digest("hex")}` !== digest) {
    const remedy = "write it to a folder instead: `skopeo copy docker-daemon:NAME oci:FOLDER`";
    throw refusal(digest, "is not what the engine has sent", remedy);
  }
  const config = Config.safeParse(jsonOf(bytes, digest));
  const layers = config.success ? config.data.rootfs.diff_ids : [];
  if (layers.length === 0 || layers.length !== image.Layers.length) fail(digest, "names other layers than it has");
  for (const [n, layer] of layers.entries()) await unpackLayer(path(image.Layers[n] ?? ""), layer, digest, tree);
}

/** Where each member of the export stands now. */
async function writeMembers(source: AsyncIterable<Uint8Array>, folder: string): Promise<ReadonlyMap<string, string>> {
  const places = new Map<string, string>();
  const same = new Map<string, string>();
  let bytes = 0;
  await readTar(source, async ({ path, kind, link, bytes: size }, content) => {
    const to = kind === "symlink" ? SAME.exec(link)?.[1] : undefined;
    if (to !== undefined && MEMBER.test(path)) same.set(path, to);
    bytes += size;
    if (bytes > limits.rootfs.bytesMax) throw new SandboxError("the image is too large", "use a smaller one");
    if (kind !== "file" || !MEMBER.test(path) || places.has(path)) {
      for await (const _ of content);
      return;
    }
    const file = join(folder, path);
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    await pipeline(content, createWriteStream(file, { flags: "wx", mode: 0o600 }));
    places.set(path, file);
  });
  for (const [path, to] of same) {
    const file = places.get(to);
    if (file !== undefined && !places.has(path)) places.set(path, file);
  }
  return places;
}

async function unpackLayer(file: string, layer: string, digest: string, tree: RootfsTree): Promise<void> {
  tree.nextLayer();
  const plain = createHash("sha256");
  const packed = (await head(file, GZIP.length)).equals(GZIP);
  const source = createReadStream(file);
  const unpacker = createGunzip();
  source.once("error", (error) => unpacker.destroy(error));
  await readTar(hashing(packed ? source.pipe(unpacker) : source, plain), (entry, content) =>
    tree.add(entry, content),
  ).catch((error: unknown) => {
    throw error instanceof SandboxError
      ? error
      : refusal(digest, `has a layer that cannot be unpacked: ${String(error)}`);
  });
  if (`sha256:${plain.digest("hex")}` !== layer) fail(digest, `has an altered layer \`${layer}\``);
}

async function head(file: string, count: number): Promise<Buffer> {
  const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(count), 0, count, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

async function readBounded(file: string, digest: string): Promise<Buffer> {
  const bytes = await head(file, limits.rootfs.headerBytesMax + 1);
  if (bytes.length > limits.rootfs.headerBytesMax) fail(digest, "has too large a description");
  return bytes;
}

function jsonOf(bytes: Buffer, digest: string): unknown {
  const parsed = parseJson(bytes, limits.door.jsonDepthMax);
  return parsed.ok ? parsed.value : fail(digest, "has a description that is not JSON");
}

const refusal = (digest: string, why: string, remedy = "pull or build it again"): SandboxError =>
  new SandboxError(`the engine's image \`${digest}\` ${why}`, remedy);

function fail(digest: string, why: string): never {
  throw refusal(digest, why);
}
