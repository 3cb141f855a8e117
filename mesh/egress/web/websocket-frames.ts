import { limits } from "../../../protocol/limits.ts";

/** RFC 6455 §5.2. */
export const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

export interface Frame {
  readonly fin: boolean;
  readonly opcode: number;
  /** Unmasked. */
  readonly payload: Buffer;
  /** The client's mask; null from a server. */
  readonly mask: Buffer | null;
}

export const isControl = ({ opcode }: Pick<Frame, "opcode">): boolean => opcode >= opcodes.close;

/** What came is not WebSocket as it was agreed on. */
export class FrameError extends Error {
  override readonly name = "FrameError";
}

/** Reads frames out of a stream. Every length is bounded before anything is kept for it. */
export class FrameReader {
  readonly #masked: boolean;
  #rest: Buffer = Buffer.alloc(0);
  /** A message of several frames is open. */
  #open = false;

  constructor(masked: boolean) {
    this.#masked = masked;
  }

  /** The frames that are whole now. Throws FrameError. */
  push(chunk: Buffer): Frame[] {
    this.#rest = this.#rest.length > 0 ? Buffer.concat([this.#rest, chunk]) : chunk;
    const frames: Frame[] = [];
    for (let frame = this.#next(); frame; frame = this.#next()) frames.push(frame);
    return frames;
  }

  #next(): Frame | undefined {
    const bytes = this.#rest;
    if (bytes.length < 2) return undefined;
    const [first = 0, second = 0] = bytes;
    const opcode = first & 0x0f;
    const fin = (first & 0x80) !== 0;
    // No extension was agreed on, so the reserved bits mean nothing (§5.2).
    if ((first & 0x70) !== 0) throw new FrameError("reserved bits are set");
    if (((second & 0x80) !== 0) !== this.#masked) throw new FrameError("the mask is on the wrong side");
    const head = headOf(bytes, second & 0x7f);
    if (!head) return undefined;
    const { length, at } = head;
    if (length > limits.web.frameBytesMax) throw new FrameError("a frame is too long");
    this.#checkOrder(opcode, fin, length);
    const from = at + (this.#masked ? 4 : 0);
    if (bytes.length < from + length) return undefined;
    const mask = this.#masked ? Buffer.from(bytes.subarray(at, from)) : null;
    const payload = Buffer.from(bytes.subarray(from, from + length));
    this.#rest = bytes.subarray(from + length);
    if (opcode < opcodes.close) this.#open = !fin;
    return { fin, opcode, payload: mask ? applyMask(payload, mask) : payload, mask };
  }

  #checkOrder(opcode: number, fin: boolean, length: number): void {
    if (opcode >= opcodes.close) {
      if (opcode > opcodes.pong || !fin || length > 125) throw new FrameError("a control frame is malformed");
    } else if (opcode > opcodes.binary || (opcode === opcodes.continuation) !== this.#open)
      throw new FrameError("a frame is out of order");
  }
}

function headOf(bytes: Buffer, short: number): { readonly length: number; readonly at: number } | undefined {
  if (short < 126) return { length: short, at: 2 };
  if (short === 126) {
    if (bytes.length < 4) return undefined;
    const length = bytes.readUInt16BE(2);
    // §5.2: in the shortest form.
    if (length < 126) throw new FrameError("a length is written too long");
    return { length, at: 4 };
  }
  if (bytes.length < 10) return undefined;
  const length = bytes.readBigUInt64BE(2);
  if (length < 65_536n) throw new FrameError("a length is written too long");
  return { length: length > BigInt(limits.web.frameBytesMax) ? Infinity : Number(length), at: 10 };
}

/** In place. */
function applyMask(payload: Buffer, mask: Buffer): Buffer {
  for (let i = 0; i < payload.length; i++) payload[i] = (payload[i] ?? 0) ^ (mask[i & 3] ?? 0);
  return payload;
}

export function writeFrame({ fin, opcode, payload, mask }: Frame): Buffer {
  const { length } = payload;
  const bit = mask ? 0x80 : 0;
  const wide = length < 126 ? 0 : length < 65_536 ? 2 : 8;
  const head = Buffer.alloc(2 + wide);
  head[0] = (fin ? 0x80 : 0) | opcode;
  head[1] = bit | (wide === 0 ? length : wide === 2 ? 126 : 127);
  if (wide === 2) head.writeUInt16BE(length, 2);
  if (wide === 8) head.writeBigUInt64BE(BigInt(length), 2);
  return mask ? Buffer.concat([head, mask, applyMask(Buffer.from(payload), mask)]) : Buffer.concat([head, payload]);
}

/** A close frame with a status of §7.4.1. */
export function closeFrame(status: number, mask: Buffer | null): Buffer {
  const payload = Buffer.alloc(2);
  payload.writeUInt16BE(status);
  return writeFrame({ fin: true, opcode: opcodes.close, payload, mask });
}
