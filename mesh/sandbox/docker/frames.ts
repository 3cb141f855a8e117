/**
 * The stream of an attached container without a terminal: frames of `[stream, 0, 0, 0, length (4 bytes, big-endian)]`
 * and their content, where stream 1 is standard output and 2 standard error (Engine API, "Attach to a container").
 * Holds back whoever writes when it is not read, and never keeps more than a header of its own.
 */
import { Transform, type TransformCallback } from "node:stream";

const HEADER_BYTES = 8;

export class FrameReader extends Transform {
  readonly #onError: ((chunk: Buffer) => void) | undefined;
  #header = Buffer.alloc(0);
  #left = 0;
  #stream = 0;

  /** `onError` receives standard error apart; without it both come out in the order in which they came in. */
  constructor(onError?: (chunk: Buffer) => void) {
    super();
    this.#onError = onError;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    for (let rest = chunk; rest.length > 0;) {
      if (this.#left === 0) {
        const wanted = HEADER_BYTES - this.#header.length;
        this.#header = Buffer.concat([this.#header, rest.subarray(0, wanted)]);
        rest = rest.subarray(wanted);
        if (this.#header.length < HEADER_BYTES) break;
        this.#stream = this.#header[0] ?? 0;
        this.#left = this.#header.readUInt32BE(4);
        this.#header = Buffer.alloc(0);
        if (this.#stream > 2) return done(new Error("the engine sent a frame of no known stream"));
        continue;
      }
      const part = rest.subarray(0, this.#left);
      this.#left -= part.length;
      rest = rest.subarray(part.length);
      if (this.#stream === 2 && this.#onError) this.#onError(part);
      else this.push(part);
    }
    done();
  }

  override _flush(done: TransformCallback): void {
    const whole = this.#left === 0 && this.#header.length === 0;
    done(whole ? null : new Error("the engine's stream ended within a frame"));
  }
}
