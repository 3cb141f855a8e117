import { err, ok, type Result } from "../../../lib/result.ts";
import { limits } from "../../../protocol/limits.ts";
import { refusal, type Refusal } from "../../../protocol/refusal.ts";
import type { ImageSize } from "./format.ts";

/** Images of one call: how large they are, and how many bytes of the request they took as text. */
export interface Images {
  readonly sizes: readonly ImageSize[];
  readonly bytes: number;
}

/** `data:` URLs (RFC 2397) → sizes. Anything else is refused: an address would be fetched on the agent's behalf. */
export function imagesOf(urls: readonly string[]): Result<Images, Refusal> {
  return read(urls, (url) => {
    const head = /^data:(image\/(?:png|jpeg));base64,/.exec(url.slice(0, 40));
    return head ? { type: head[1] ?? "", data: url.slice(head[0].length) } : undefined;
  });
}

/** The same for formats that name the type beside the data. */
export const encodedImagesOf = (
  images: readonly { readonly type: string; readonly data: string }[],
): Result<Images, Refusal> => read(images, (image) => image);

function read<T>(
  given: readonly T[],
  encoded: (image: T) => { readonly type: string; readonly data: string } | undefined,
): Result<Images, Refusal> {
  if (given.length === 0) return NO_IMAGES;
  const { imagesMax, imageSidePixelsMax } = limits.model;
  if (given.length > imagesMax) return refuse(`${given.length} images`, `send at most ${imagesMax}`);
  const sizes: ImageSize[] = [];
  let bytes = 0;
  for (const image of given) {
    const found = encoded(image);
    if (!found) return refuse("an image is not in the request itself", "send it as base64 data, PNG or JPEG");
    const size = BASE64.test(found.data) ? sizeOf(Buffer.from(found.data, "base64"), found.type) : undefined;
    if (!size) return refuse("an image is not a PNG or JPEG that can be read", "send it as base64 data, PNG or JPEG");
    if (Math.max(size.width, size.height) > imageSidePixelsMax)
      return refuse(`an image has ${size.width} x ${size.height} pixels`, `at most ${imageSidePixelsMax} on each side`);
    sizes.push(size);
    bytes += found.data.length;
  }
  return ok({ sizes, bytes });
}

const NO_IMAGES = ok<Images>({ sizes: [], bytes: 0 });

const refuse = (what: string, remedy: string): Result<never, Refusal> => err(refusal("unsupported", what, remedy));

const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;

/** Pixels as the file's own header states them: what the provider reads, too. Undefined: not such a file. */
function sizeOf(file: Buffer, type: string): ImageSize | undefined {
  const size = type === "image/png" ? pngSize(file) : type === "image/jpeg" ? jpegSize(file) : undefined;
  return size && size.width > 0 && size.height > 0 ? size : undefined;
}

const PNG_SIGNATURE = Buffer.from("89504e470d0a1a0a0000000d49484452", "hex");

/** PNG (W3C, third edition) §5.2 and §11.2.1: the signature, then the IHDR chunk. */
function pngSize(file: Buffer): ImageSize | undefined {
  if (file.length < 24 || !file.subarray(0, 16).equals(PNG_SIGNATURE)) return undefined;
  return { width: file.readUInt32BE(16), height: file.readUInt32BE(20) };
}

/** ITU-T T.81 annex B: segments until the first start of frame. */
function jpegSize(file: Buffer): ImageSize | undefined {
  if (file.length < 4 || file.readUInt16BE(0) !== 0xffd8) return undefined;
  let at = 2;
  while (at + 9 < file.length) {
    if (file[at] !== 0xff) return undefined;
    const marker = file[at + 1] ?? 0;
    if (marker === 0xff) at += 1;
    else if (isStartOfFrame(marker)) return { height: file.readUInt16BE(at + 5), width: file.readUInt16BE(at + 7) };
    // A scan or the end before a frame, and markers that stand alone, are in no picture's head.
    else if (marker < 0xc0 || (marker >= 0xd0 && marker <= 0xda)) return undefined;
    else at += 2 + file.readUInt16BE(at + 2);
  }
  return undefined;
}

/** SOF0 to SOF15, without DHT, JPG and DAC, which share their range. */
const isStartOfFrame = (marker: number): boolean =>
  marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
