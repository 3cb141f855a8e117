/**
 * Reads a tar stream (POSIX.1-2001 pax, ustar, and GNU's long names) that may be hostile: every size is bounded, every
 * header's checksum is checked, and what is not understood is refused.
 */
import { limits } from "../../protocol/limits.ts";
import { SandboxError } from "./backend.ts";

export interface TarEntry {
  /** As it stands in the archive: not to be trusted. */
  readonly path: string;
  readonly kind: "file" | "folder" | "symlink" | "hardlink" | "device";
  readonly mode: number;
  readonly bytes: number;
  readonly link: string;
}

const BLOCK_BYTES = 512;
const kinds: Readonly<Record<string, TarEntry["kind"]>> = {
  ...{ "0": "file", "\0": "file", "7": "file", "1": "hardlink", "2": "symlink", "5": "folder" },
  ...{ "3": "device", "4": "device", "6": "device" },
};

/** Hands on every entry; `content` must be read to its end before the next one. Throws SandboxError. */
export async function readTar(
  source: AsyncIterable<Uint8Array>,
  take: (entry: TarEntry, content: AsyncIterable<Buffer>) => Promise<void>,
): Promise<void> {
  const bytes = new ByteReader(source);
  let pax: ReadonlyMap<string, string> = new Map();
  let [longPath, longLink] = ["", ""];
  for (let entries = 0; ; entries++) {
    if (entries > limits.rootfs.entriesMax) fail("it has too many entries");
    const header = await bytes.take(BLOCK_BYTES);
    if (header === null || header.every((byte) => byte === 0)) return bytes.drain();
    const type = String.fromCharCode(header[156] ?? 0);
    checkSum(header);
    const size =
      type === "x" || type === "g" || !pax.has("size") ? numberAt(header, 124, 12) : decimal(pax.get("size"));
    if (type === "x" || type === "g" || type === "L" || type === "K") {
      const text = await bytes.text(size);
      // A global header sets what does not matter here: comments, times.
      if (type === "x") pax = paxRecords(text);
      if (type === "L") longPath = cString(text);
      if (type === "K") longLink = cString(text);
      continue;
    }
    const kind = kinds[type] ?? fail(`it has an entry of the kind \`${JSON.stringify(type)}\``);
    const content = kind === "file" ? size : 0;
    if (content > limits.rootfs.fileBytesMax) fail("a file in it is too large");
    await take(
      {
        path: pax.get("path") ?? (longPath || nameOf(header)),
        kind,
        mode: numberAt(header, 100, 8) & 0o7777,
        bytes: content,
        link: pax.get("linkpath") ?? (longLink || cString(header.toString("utf8", 157, 257))),
      },
      bytes.content(content),
    );
    await bytes.skipPadding(content);
    if (kind !== "file" && size > 0) await bytes.text(size);
    [pax, longPath, longLink] = [new Map(), "", ""];
  }
}

function fail(why: string): never {
  throw new SandboxError(`the archive is refused: ${why}`, "build the image again with an ordinary tool");
}

const cString = (text: string): string => text.split("\0", 1)[0] ?? "";

/** Ustar parts long names in two; GNU uses the same place for times. */
function nameOf(header: Buffer): string {
  const name = cString(header.toString("utf8", 0, 100));
  const ustar = header.toString("latin1", 257, 263) === "ustar\0";
  const prefix = ustar ? cString(header.toString("utf8", 345, 500)) : "";
  return prefix === "" ? name : `${prefix}/${name}`;
}

/** Octal digits, or, with the first bit set, a big-endian number. */
function numberAt(header: Buffer, at: number, length: number): number {
  const field = header.subarray(at, at + length);
  if (((field[0] ?? 0) & 0x80) === 0) {
    const text = field.toString("latin1").replaceAll("\0", " ").trim();
    if (!/^[0-7]*$/.test(text)) fail("a number in it is malformed");
    return Number.parseInt(text || "0", 8);
  }
  const value = BigInt(`0x${field.subarray(1).toString("hex")}`);
  return value > BigInt(Number.MAX_SAFE_INTEGER) ? fail("a number in it is too large") : Number(value);
}

function decimal(text: string | undefined): number {
  const value = /^\d{1,15}$/.test(text ?? "") ? Number(text) : fail("a size in it is malformed");
  return value;
}

/** The sum of all bytes with the sum's own field as blanks. */
function checkSum(header: Buffer): void {
  const BLANK = 0x20;
  let sum = 0;
  for (let at = 0; at < BLOCK_BYTES; at++) sum += at >= 148 && at < 156 ? BLANK : (header[at] ?? 0);
  if (sum !== numberAt(header, 148, 8)) fail("a header's checksum does not fit");
}

/** Records of the form `LENGTH KEY=VALUE\n`, the length in bytes and with itself. */
function paxRecords(text: string): ReadonlyMap<string, string> {
  const records = new Map<string, string>();
  let rest = Buffer.from(text);
  while (rest.length > 0) {
    const space = rest.indexOf(" ");
    const length = decimal(rest.toString("latin1", 0, Math.max(0, space)));
    const record = rest.toString("utf8", space + 1, length - 1);
    const equals = record.indexOf("=");
    if (space < 0 || length > rest.length || length <= space + 2 || equals < 1) fail("an extended header is malformed");
    const key = record.slice(0, equals);
    if (key.startsWith("GNU.sparse")) fail("it has a sparse file");
    records.set(key, record.slice(equals + 1));
    rest = rest.subarray(length);
  }
  return records;
}

/** Whole pieces out of chunks of any size. */
class ByteReader {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #left: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#chunks = source[Symbol.asyncIterator]();
  }

  /** The next `count` bytes, null at the end; throws when the end comes in between. */
  async take(count: number): Promise<Buffer | null> {
    const parts: Buffer[] = [];
    for (let missing = count; missing > 0;) {
      const piece = await this.#piece(missing);
      if (piece === null) return parts.length === 0 ? null : fail("it ends too early");
      parts.push(piece);
      missing -= piece.length;
    }
    return Buffer.concat(parts);
  }

  async text(size: number): Promise<string> {
    if (size > limits.rootfs.headerBytesMax) fail("a header in it is too large");
    const bytes = size === 0 ? Buffer.alloc(0) : ((await this.take(size)) ?? fail("it ends too early"));
    await this.skipPadding(size);
    return bytes.toString("utf8");
  }

  async *content(size: number): AsyncGenerator<Buffer, void, undefined> {
    for (let missing = size; missing > 0;) {
      const piece = (await this.#piece(missing)) ?? fail("it ends too early");
      missing -= piece.length;
      yield piece;
    }
  }

  async skipPadding(size: number): Promise<void> {
    const padding = (BLOCK_BYTES - (size % BLOCK_BYTES)) % BLOCK_BYTES;
    if (padding > 0 && (await this.take(padding)) === null) fail("it ends too early");
  }

  /** What follows the end is padding, but its bytes belong to the archive's digest. */
  async drain(): Promise<void> {
    let bytes = 0;
    for (let piece = await this.#piece(BLOCK_BYTES); piece; piece = await this.#piece(BLOCK_BYTES)) {
      bytes += piece.length;
      if (bytes > limits.rootfs.headerBytesMax) fail("too much follows its end");
    }
  }

  async #piece(bytesMax: number): Promise<Buffer | null> {
    while (this.#left.length === 0) {
      const next = await this.#chunks.next();
      if (next.done) return null;
      this.#left = Buffer.from(next.value.buffer, next.value.byteOffset, next.value.byteLength);
    }
    const piece = this.#left.subarray(0, bytesMax);
    this.#left = this.#left.subarray(piece.length);
    return piece;
  }
}
