/** Archives and images for tests, good and hostile ones. Links in them lead to folders of the test's own. */
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";

const BLOCK_BYTES = 512;

export interface Item {
  readonly path: string;
  /** `0` file (default), `1` hard link, `2` symbolic link, `3` device, `5` folder, `x` pax, `L` long name. */
  readonly type?: string;
  readonly text?: string | Buffer;
  readonly link?: string;
  readonly mode?: number;
  /** What the header says, in place of the text's own size. */
  readonly size?: number;
}

const octal = (value: number, length: number): string => `${value.toString(8).padStart(length - 1, "0")}\0`;

function block({ path, type = "0", text = "", link = "", mode = 0o644, size }: Item): Buffer {
  const header = Buffer.alloc(BLOCK_BYTES);
  header.write(path.slice(0, 100), 0, "utf8");
  header.write(octal(mode, 8), 100, "latin1");
  const body = Buffer.from(text);
  const bytes = size ?? body.length;
  if (bytes < 8 ** 11) header.write(octal(bytes, 12), 124, "latin1");
  else {
    header[124] = 0x80;
    header.writeBigUInt64BE(BigInt(bytes), 128);
  }
  header.write(type, 156, "latin1");
  header.write(link, 157, 100, "utf8");
  header.write("ustar\x0000", 257, "latin1");
  header.write(" ".repeat(8), 148, "latin1");
  header.write(
    octal(
      header.reduce((sum, byte) => sum + byte, 0),
      7,
    ),
    148,
    "latin1",
  );
  return Buffer.concat([header, body, Buffer.alloc((BLOCK_BYTES - (body.length % BLOCK_BYTES)) % BLOCK_BYTES)]);
}

export const tarOf = (items: readonly Item[]): Buffer =>
  Buffer.concat([...items.map(block), Buffer.alloc(2 * BLOCK_BYTES)]);

export const sha256 = (bytes: Buffer | string): string => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

const packers = {
  "": (bytes: Buffer): Buffer => bytes,
  "+gzip": (bytes: Buffer): Buffer => gzipSync(bytes),
  "+zstd": (bytes: Buffer): Buffer => zstdCompressSync(bytes),
};

export interface ImageParts {
  readonly layers: readonly Buffer[];
  readonly packing?: keyof typeof packers;
  readonly architecture?: string;
  readonly diffIds?: readonly string[];
}

/** Writes an OCI image layout into `folder`; returns the digests of its layers' blobs. */
export function writeImage(folder: string, { layers, packing = "+gzip", ...parts }: ImageParts): readonly string[] {
  const blobs = join(folder, "blobs", "sha256");
  mkdirSync(blobs, { recursive: true });
  const put = (bytes: Buffer, mediaType: string) => {
    const digest = sha256(bytes);
    writeFileSync(join(blobs, digest.slice("sha256:".length)), bytes);
    return { mediaType, digest, size: bytes.length };
  };
  const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
  const packed = layers.map((tar) => put(packers[packing](tar), `application/vnd.oci.image.layer.v1.tar${packing}`));
  const architecture = parts.architecture ?? (process.arch === "x64" ? "amd64" : "arm64");
  const rootfs = { type: "layers", diff_ids: parts.diffIds ?? layers.map(sha256) };
  const config = put(json({ os: "linux", architecture, rootfs }), "application/vnd.oci.image.config.v1+json");
  const manifest = put(
    json({ schemaVersion: 2, config, layers: packed }),
    "application/vnd.oci.image.manifest.v1+json",
  );
  const platform = { os: "linux", architecture };
  writeFileSync(join(folder, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
  writeFileSync(join(folder, "index.json"), json({ schemaVersion: 2, manifests: [{ ...manifest, platform }] }));
  return packed.map(({ digest }) => digest);
}
