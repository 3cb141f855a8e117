import type { BodyCost } from "./body-memory.ts";
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
  /** Who pays for the body; undefined: nobody has to. */
  cost: BodyCost | undefined = undefined;
  #missing: number;
  /** What has come of it; most bodies come in one piece. */
  #body: Buffer = NOTHING;
  #more: Buffer[] | undefined;
  #bytes = 0;
  #broken = false;
  readonly #bearer: { resume(): void };
  #take: ((body: Buffer | undefined) => void) | undefined;

  /** `bearer` is told to go on when somebody waits for what has not come yet. */
  constructor({ method, target, headers, length }: RequestHead, bearer: { resume(): void }) {
    this.#bearer = bearer;
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
    this.#bearer.resume();
    return promise;
  }

  /** Takes what belongs to the body, and returns what comes after it. */
  push(bytes: Buffer): Buffer {
    const own = bytes.length > this.#missing ? bytes.subarray(0, this.#missing) : bytes;
    if (this.#bytes === 0) this.#body = own;
    else if (own.length > 0) (this.#more ??= [this.#body]).push(own);
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
    this.#body = NOTHING;
    this.#more = undefined;
    this.#take?.(undefined);
    this.#take = undefined;
  }

  #joined(): Buffer {
    if (this.#more) this.#body = Buffer.concat(this.#more);
    this.#more = undefined;
    return this.#body;
  }
}
