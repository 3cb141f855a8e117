/** What a connection reads into. */
export interface Memory {
  take(read: (bytes: Buffer) => void): void;
  lend(): () => void;
}

const READ_BYTES = 64 * 1_024;

/**
 * One piece of memory that many sockets read into (`onread` of node:net): each read is told in the call in which it came,
 * so none of them needs memory of its own, however many wait. Who needs bytes after that call copies them: they are zeros
 * then, so that who forgets to would spoil an answer, and never show that of somebody else.
 */
export class ReadBuffer {
  readonly #bytes = Buffer.allocUnsafeSlow(READ_BYTES);
  /** The same memory: to wipe it as plain bytes costs less. */
  readonly #plain = new Uint8Array(this.#bytes.buffer);

  /** For one socket; what comes before somebody takes it is not read. */
  share() {
    let read: (bytes: Buffer) => void = () => {};
    const memory: Memory = { take: (reader) => void (read = reader), lend: () => () => {} };
    const callback = (length: number): true => {
      read(this.#bytes.subarray(0, length));
      this.#plain.fill(0, 0, length);
      return true;
    };
    return { memory, onread: { buffer: this.#bytes, callback } };
  }
}
