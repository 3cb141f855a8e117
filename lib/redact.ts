/**
 * Bytes that must never be printed. Every way by which a value reaches a log, an error or a JSON
 * document (string conversion, `JSON.stringify`, `util.inspect`, structured clone) shows a fixed text.
 */
export class Secret {
  readonly #bytes: Uint8Array;
  #erased = false;

  /** Takes ownership: the caller's buffer is the secret and is zeroed by `erase`. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Lends the bytes to `use`, which must not keep them. Throws after `erase`. */
  reveal<T>(use: (bytes: Uint8Array) => T): T {
    if (this.#erased) throw new Error("secret was erased");
    return use(this.#bytes);
  }

  erase(): void {
    this.#erased = true;
    this.#bytes.fill(0);
  }

  toString(): string {
    return REDACTED;
  }

  toJSON(): string {
    return REDACTED;
  }

  get [Symbol.toStringTag](): string {
    return "Secret";
  }

  /** `Symbol.for("nodejs.util.inspect.custom")`, named so that this file imports nothing. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return REDACTED;
  }
}

export const REDACTED = "[secret]";
