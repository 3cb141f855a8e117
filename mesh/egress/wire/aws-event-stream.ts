import { crc32 } from "node:zlib";
import { limits } from "../../../protocol/limits.ts";

/** One message of `application/vnd.amazon.eventstream`. */
export interface AwsMessage {
  readonly headers: Readonly<Record<string, string>>;
  readonly payload: Buffer;
}

/** Total length, length of the headers, checksum of the two; and the checksum of all at the end. */
const PRELUDE_BYTES = 12;
const CHECKSUM_BYTES = 4;
const STRING = 7;
/** Bytes of a header's value by its type; strings and bytes state their own. */
const FIXED_BYTES = [0, 0, 1, 2, 4, 8, undefined, undefined, 8, 16] as const;

/**
 * Decodes the framing of AWS streams (smithy.io/2.0/aws/amazon-eventstream.html). Throws RangeError where a length or
 * a checksum is wrong: after that no border of a message can be trusted.
 */
export class AwsEventDecoder {
  #held: Buffer = Buffer.alloc(0);

  /** The messages that are complete with `chunk`. */
  push(chunk: Buffer): AwsMessage[] {
    // Copied: `chunk` is in memory that is read into again.
    this.#held = Buffer.concat([this.#held, chunk]);
    const messages: AwsMessage[] = [];
    for (;;) {
      if (this.#held.length < PRELUDE_BYTES) return messages;
      const length = this.#held.readUInt32BE(0);
      const headers = this.#held.readUInt32BE(4);
      const sane = length <= limits.model.eventBytesMax && PRELUDE_BYTES + headers + CHECKSUM_BYTES <= length;
      if (!sane || crc32(this.#held.subarray(0, 8)) !== this.#held.readUInt32BE(8))
        throw new RangeError("the head of a message is damaged");
      if (this.#held.length < length) return messages;
      messages.push(messageOf(this.#held.subarray(0, length), PRELUDE_BYTES + headers));
      this.#held = this.#held.subarray(length);
    }
  }

  /** True when no part of a message is left over. */
  get empty(): boolean {
    return this.#held.length === 0;
  }
}

function messageOf(message: Buffer, headersEnd: number): AwsMessage {
  const end = message.length - CHECKSUM_BYTES;
  if (crc32(message.subarray(0, end)) !== message.readUInt32BE(end)) throw new RangeError("a message is damaged");
  const headers: Record<string, string> = Object.create(null) as Record<string, string>;
  for (let at = PRELUDE_BYTES; at < headersEnd;) {
    const nameEnd = at + 1 + message.readUInt8(at);
    const type = message.readUInt8(nameEnd);
    const fixed = FIXED_BYTES[type];
    if (type >= FIXED_BYTES.length) throw new RangeError("a header has an unknown type");
    const valueAt = nameEnd + (fixed === undefined ? 3 : 1);
    const valueEnd = valueAt + (fixed ?? message.readUInt16BE(nameEnd + 1));
    if (valueEnd > headersEnd) throw new RangeError("a header is longer than the headers");
    if (type === STRING)
      headers[message.toString("utf8", at + 1, nameEnd)] = message.toString("utf8", valueAt, valueEnd);
    at = valueEnd;
  }
  return { headers, payload: message.subarray(headersEnd, end) };
}
