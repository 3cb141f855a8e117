/** How long a read is where most answers are short. */
const SMALL_BYTES = 16 * 1_024;
const LARGE_BYTES = 64 * 1_024;
/** As much as may wait to be written, and what comes of TLS although it was told to pause. */
const SPARE_BYTES_MAX = 256 * 1_024;

/**
 * What a socket reads into (`onread` of node:net), used again as soon as what was read has gone on: memory of its own
 * for each read is garbage as large as the download. Who needs a piece after the call in which it came borrows it; the
 * next read has other memory then. Before it is read into again it is wiped: a borrow that was forgotten shows zeros, and
 * nobody else's bytes.
 */
export class ReadMemory {
  readonly #spares: Slab[] = [];
  readonly #mayGrow: boolean;
  #current = slabOf(SMALL_BYTES);
  #filled = false;
  #read: (bytes: Buffer) => void = () => {};

  /** `mayGrow`: a read can bring more than a record of TLS. */
  constructor(mayGrow: boolean) {
    this.#mayGrow = mayGrow;
  }

  /** As `net.connect` and `tls.connect` take it. */
  get onread(): { buffer: () => Uint8Array; callback: (bytes: number, buffer: Uint8Array) => boolean } {
    return {
      buffer: () => this.#next(),
      callback: (bytes) => {
        const { memory } = this.#current;
        this.#current.used = bytes;
        this.#filled = bytes === memory.length;
        this.#read(memory.subarray(0, bytes));
        return true;
      },
    };
  }

  take(read: (bytes: Buffer) => void): void {
    this.#read = read;
  }

  /** Keeps what was read last as it is, until what is returned is called. */
  lend(): () => void {
    const slab = this.#current;
    slab.lent++;
    let returned = false;
    return () => {
      if (returned) return;
      returned = true;
      const again = --slab.lent === 0 && slab !== this.#current;
      if (again && slab.memory.length === this.#current.memory.length && this.#spareBytes < SPARE_BYTES_MAX)
        this.#spares.push(slab);
    };
  }

  get #spareBytes(): number {
    return this.#spares.length * this.#current.memory.length;
  }

  #next(): Buffer {
    const { memory, lent } = this.#current;
    const size = this.#filled && this.#mayGrow ? LARGE_BYTES : memory.length;
    if (size !== memory.length) this.#spares.length = 0;
    if (size !== memory.length || lent > 0) this.#current = this.#spares.pop() ?? slabOf(size);
    this.#current.memory.fill(0, 0, this.#current.used);
    return this.#current.memory;
  }
}

interface Slab {
  readonly memory: Buffer;
  /** By the last read. */
  used: number;
  /** How many still need what is in it. */
  lent: number;
}

const slabOf = (bytes: number): Slab => ({ memory: Buffer.allocUnsafeSlow(bytes), used: 0, lent: 0 });
