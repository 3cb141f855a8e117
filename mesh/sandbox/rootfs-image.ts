/** `image:` an OCI image layout in a folder (image-spec 1.1: `oci-layout`, `index.json`, `blobs/sha256`). */
import { createHash, type Hash } from "node:crypto";
import { constants } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { z } from "zod";
import { parseJson } from "../../lib/json.ts";
import { limits } from "../../protocol/limits.ts";
import { SandboxError } from "./backend.ts";
import { readTar } from "./rootfs-tar.ts";
import type { RootfsTree } from "./rootfs-tree.ts";

export const Digest = z.string().regex(/^sha256:[0-9a-f]{64}$/);
const Descriptor = z.object({
  mediaType: z.string().max(255),
  digest: Digest,
  size: z.int().min(0).max(limits.rootfs.bytesMax),
  platform: z.object({ os: z.string(), architecture: z.string() }).optional(),
});
type Descriptor = z.infer<typeof Descriptor>;
const Layout = z.object({ imageLayoutVersion: z.literal("1.0.0") });
const Index = z.object({ schemaVersion: z.literal(2), manifests: z.array(Descriptor).min(1).max(256) });
const Manifest = z.object({
  schemaVersion: z.literal(2),
  config: Descriptor,
  layers: z.array(Descriptor).min(1).max(limits.rootfs.layersMax),
});
export const Config = z.object({ rootfs: z.object({ type: z.literal("layers"), diff_ids: z.array(Digest) }) });

const indexType = /^application\/vnd\.(?:oci\.image\.index\.v1|docker\.distribution\.manifest\.list\.v2)\+json$/;
const layerTypes: readonly (readonly [RegExp, (() => NodeJS.ReadWriteStream) | null])[] = [
  [/^application\/vnd\.oci\.image\.layer\.v1\.tar$/, null],
  [/^application\/vnd\.(?:oci\.image\.layer\.v1\.tar\+gzip|docker\.image\.rootfs\.diff\.tar\.gzip)$/, createGunzip],
  [/^application\/vnd\.oci\.image\.layer\.v1\.tar\+zstd$/, createZstdDecompress],
];
const architectures: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };

export interface Image {
  /** Digest of the manifest: it names every byte of the image. */
  readonly digest: string;
  readonly layers: readonly Descriptor[];
  /** Digests of the layers as they are unpacked. */
  readonly diffIds: readonly string[];
}

/** Throws SandboxError for a layout that is incomplete, altered, or for another machine. */
export async function readImage(folder: string): Promise<Image> {
  checked(Layout, await readDocument(join(folder, "oci-layout"), folder), folder, "oci-layout");
  const index = checked(Index, await readDocument(join(folder, "index.json"), folder), folder, "index.json");
  let chosen = choose(index.manifests, folder);
  if (indexType.test(chosen.mediaType))
    chosen = choose(checked(Index, await readBlob(folder, chosen), folder, chosen.digest).manifests, folder);
  const { config, layers } = checked(Manifest, await readBlob(folder, chosen), folder, chosen.digest);
  const { diff_ids: diffIds } = checked(Config, await readBlob(folder, config), folder, config.digest).rootfs;
  if (diffIds.length !== layers.length) fail(folder, "names another number of layers than it has");
  return { digest: chosen.digest, layers, diffIds };
}

/** Unpacks the layers in order; throws when a byte of them is not the one that the manifest names. */
export async function unpackImage(folder: string, { layers, diffIds }: Image, tree: RootfsTree): Promise<void> {
  for (const [n, layer] of layers.entries()) {
    const unpacker = layerTypes.find(([form]) => form.test(layer.mediaType));
    if (!unpacker) fail(folder, `has a layer of the kind \`${layer.mediaType.slice(0, 100)}\``);
    tree.nextLayer();
    const [packed, plain] = [createHash("sha256"), createHash("sha256")];
    const handle = await openBlob(folder, layer.digest);
    try {
      const source = handle.createReadStream({ autoClose: false });
      source.on("data", (chunk: Buffer | string) => packed.update(chunk));
      const tar = unpacker[1] === null ? source : piped(source, unpacker[1]());
      await readTar(hashing(tar, plain), (entry, content) => tree.add(entry, content)).catch((error: unknown) => {
        throw error instanceof SandboxError
          ? error
          : refusal(folder, `has a layer that cannot be unpacked: ${String(error)}`);
      });
    } finally {
      await handle.close();
    }
    if (`sha256:${packed.digest("hex")}` !== layer.digest) fail(folder, `has an altered layer \`${layer.digest}\``);
    if (`sha256:${plain.digest("hex")}` !== diffIds[n]) fail(folder, `has an altered layer \`${diffIds[n]}\``);
  }
}

function piped(source: Readable, through: NodeJS.ReadWriteStream): AsyncIterable<Uint8Array> {
  source.once("error", (error) => (through as unknown as Readable).destroy(error));
  return source.pipe(through) as unknown as Readable;
}

/** Counts what comes out, so that a small blob cannot become an endless layer. */
export async function* hashing(
  source: AsyncIterable<Uint8Array>,
  hash: Hash,
): AsyncGenerator<Uint8Array, void, undefined> {
  let bytes = 0;
  for await (const chunk of source) {
    bytes += chunk.length;
    if (bytes > limits.rootfs.bytesMax)
      throw new SandboxError("a layer of the image is too large", `keep it under ${limits.rootfs.bytesMax} bytes`);
    hash.update(chunk);
    yield chunk;
  }
}

function choose(manifests: readonly Descriptor[], folder: string): Descriptor {
  const architecture = architectures[process.arch];
  const fits = manifests.filter(
    ({ platform }) => platform === undefined || (platform.os === "linux" && platform.architecture === architecture),
  );
  const [only, ...others] = fits;
  if (only === undefined) return fail(folder, `has nothing for linux on ${architecture}`);
  if (others.length > 0) return fail(folder, "holds several images", "keep one image in a layout");
  return only;
}

const pathOf = (folder: string, digest: string): string =>
  join(folder, "blobs", "sha256", digest.slice("sha256:".length));

const openBlob = (folder: string, digest: string): Promise<FileHandle> =>
  openFile(pathOf(folder, digest), () => fail(folder, `lacks the blob \`${digest}\``));

/** A regular file that no link stands for; a pipe in its place would be waited for. */
async function openFile(path: string, lacks: () => never): Promise<FileHandle> {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
  const handle = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK).catch(lacks);
  if ((await handle.stat()).isFile()) return handle;
  await handle.close();
  return lacks();
}

async function readBlob(folder: string, { digest, size }: Descriptor): Promise<unknown> {
  const bytes = await readBounded(pathOf(folder, digest), folder);
  const found = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
  if (found !== digest || bytes.length !== size) fail(folder, `has an altered blob \`${digest}\``);
  return jsonOf(bytes, folder, digest);
}

const readDocument = async (file: string, folder: string): Promise<unknown> =>
  jsonOf(await readBounded(file, folder), folder, file);

async function readBounded(file: string, folder: string): Promise<Buffer> {
  const handle = await openFile(file, () => fail(folder, `lacks \`${file.slice(folder.length + 1)}\``));
  try {
    const bytes = Buffer.alloc(limits.rootfs.headerBytesMax + 1);
    let length = 0;
    for (let read = 1; read > 0 && length < bytes.length; length += read)
      ({ bytesRead: read } = await handle.read(bytes, length, bytes.length - length));
    if (length > limits.rootfs.headerBytesMax) fail(folder, `has too large a \`${file.slice(folder.length + 1)}\``);
    return bytes.subarray(0, length);
  } finally {
    await handle.close();
  }
}

function jsonOf(bytes: Buffer, folder: string, name: string): unknown {
  const parsed = parseJson(bytes, limits.door.jsonDepthMax);
  return parsed.ok ? parsed.value : fail(folder, `has a \`${name}\` that is not JSON`);
}

function checked<T>(schema: z.ZodType<T>, value: unknown, folder: string, name: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const at = parsed.error.issues[0]?.path.map(String).join(".") ?? "";
  return fail(folder, `has a \`${name}\` that is not understood${at === "" ? "" : ` at \`${at}\``}`);
}

const refusal = (folder: string, why: string, remedy?: string): SandboxError =>
  new SandboxError(
    `the image \`${folder}\` ${why}`,
    remedy ?? "write it again, for example with `skopeo copy docker://NAME@DIGEST oci:FOLDER`",
  );

function fail(folder: string, why: string, remedy?: string): never {
  throw refusal(folder, why, remedy);
}
