import type { RequestHead } from "./request-head.ts";

const NOTHING = Buffer.alloc(0);

/** A request that was read in its plain form. Its body is read when it is asked for. */
export class PlainRequest {
  readonly method: string;
  readonly url: string;
  /** But for `content-length`, which may be that of another request: see `length`. */
  readonly headers: Readonly<Record<string, string>>;
  /** Bytes of the body. */
  readonly length: number;
  #missing: number;
  #pieces: Buffer[] = [];
  #bytes = 0;
  #broken = false;
  readonly #onWanted: () => void;
  #take: ((body: Buffer | undefined) => void) | undefined;

  /** `onWanted` is called when somebody waits for what has not come yet. */
  constructor({ method, target, headers, length }: RequestHead, onWanted: () => void) {
    this.#onWanted = onWanted;
    this.method = method;
    this.url = target;
    this.headers = headers;
    this.length = length;
    this.#missing = length;
  }

  /** All of the body has come. */
  get whole(): boolean {
    return this.#missing === 0;
  }

  /** Bytes of a body that nobody waits for yet. */
  get unwantedBytes(): number {
    return this.#take ? 0 : this.#bytes;
  }

  /** The whole body; undefined when the client has gone before its end. */
  body(): Buffer | undefined | Promise<Buffer | undefined> {
    if (this.whole) return this.#joined();
    if (this.#broken) return undefined;
    const { promise, resolve } = Promise.withResolvers<Buffer | undefined>();
    this.#take = resolve;
    this.#onWanted();
    return promise;
  }

  /** Takes what belongs to the body, and returns what comes after it. */
  push(bytes: Buffer): Buffer {
    const own = bytes.length > this.#missing ? bytes.subarray(0, this.#missing) : bytes;
    if (own.length > 0) this.#pieces.push(own);
    this.#missing -= own.length;
    this.#bytes += own.length;
    if (this.#missing === 0 && this.#take) {
      this.#take(this.#joined());
      this.#take = undefined;
    }
    return own.length === bytes.length ? NOTHING : bytes.subarray(own.length);
  }

  /** Nothing more will come. */
  breakOff(): void {
    if (this.whole) return;
    this.#broken = true;
    this.#pieces = [];
    this.#take?.(undefined);
    this.#take = undefined;
  }

  #joined(): Buffer {
    const [first = NOTHING] = this.#pieces;
    const body = this.#pieces.length > 1 ? Buffer.concat(this.#pieces) : first;
    this.#pieces = [body];
    return body;
  }
}
