const [QUOTE, BACKSLASH, SPACE, TILDE, ZERO, COMMA] = [0x22, 0x5c, 0x20, 0x7e, 0x30, 0x2c];
/** Bytes of UTF-8 that one unit of UTF-16 can take. */
const PER_UNIT_MAX = 3;
/** Longer text is written faster by the machine than from here. */
const SHORT = 64;
const BILLION = 1_000_000_000;

/**
 * Text that is written once, piece after piece, as the bytes that will be hashed and stored. Of a string that grows every
 * piece is an object, and each reader makes it anew.
 */
export class Utf8Text {
  #bytes: Buffer;
  #length = 0;

  constructor(bytesFirst = 8 * 1024) {
    this.#bytes = Buffer.allocUnsafeSlow(bytesFirst);
  }

  get length(): number {
    return this.#length;
  }

  /** What was written from `from` on: only until something more is written. */
  view(from = 0): Buffer {
    return this.#bytes.subarray(from, this.#length);
  }

  /** Takes back all from `length` on. */
  cut(length: number): void {
    this.#length = Math.min(length, this.#length);
  }

  put(bytes: Uint8Array): void {
    this.#need(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** The bytes of another text from `from` on. */
  putFrom(text: Utf8Text, from: number): void {
    this.#need(text.#length - from);
    this.#length += text.#bytes.copy(this.#bytes, this.#length, from, text.#length);
  }

  /** Text of which each character is one byte. */
  latin1(text: string): void {
    this.#need(text.length);
    this.#length += this.#bytes.write(text, this.#length, "latin1");
  }

  byte(code: number): void {
    this.#need(1);
    this.#bytes[this.#length++] = code;
  }

  /** Any text, as it is. */
  text(text: string): void {
    if (!this.#plain(text)) this.#utf8(text);
  }

  /** A text as JSON writes it. */
  json(text: string): void {
    this.byte(QUOTE);
    const begin = this.#length;
    if (this.#plain(text)) return this.byte(QUOTE);
    this.#length = begin - 1;
    this.#utf8(JSON.stringify(text));
  }

  /** One more of a list: a comma before a number as JSON writes it. */
  item(value: number): void {
    this.#need(2);
    this.#bytes[this.#length++] = COMMA;
    // Most of what is counted is nothing.
    if (value === 0) this.#bytes[this.#length++] = ZERO;
    else this.number(value);
  }

  /** A number as JSON writes it. */
  number(value: number): void {
    if (!Number.isSafeInteger(value)) return this.#utf8(JSON.stringify(value));
    this.#need(DIGITS_MAX);
    if (value < 0) this.#bytes[this.#length++] = MINUS;
    const whole = Math.abs(value);
    if (whole < BILLION) return this.#digits(whole, digitsOf(whole));
    const billions = Math.floor(whole / BILLION);
    this.#digits(billions, digitsOf(billions));
    this.#digits(whole - billions * BILLION, 9);
  }

  /** False, and nothing is written: it holds what is longer than a byte, or what JSON escapes. */
  #plain(text: string): boolean {
    if (text.length > SHORT) return false;
    this.#need(text.length);
    const bytes = this.#bytes;
    const begin = this.#length;
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (code < SPACE || code > TILDE || code === QUOTE || code === BACKSLASH) return false;
      bytes[begin + at] = code;
    }
    this.#length = begin + text.length;
    return true;
  }

  #utf8(text: string): void {
    this.#need(text.length * PER_UNIT_MAX);
    this.#length += this.#bytes.write(text, this.#length, "utf8");
  }

  /** The last `count` digits. */
  #digits(value: number, count: number): void {
    const bytes = this.#bytes;
    let rest = value | 0;
    for (let at = this.#length + count; at > this.#length;) {
      const tenth = (rest / 10) | 0;
      bytes[--at] = ZERO + rest - tenth * 10;
      rest = tenth;
    }
    this.#length += count;
  }

  #need(more: number): void {
    if (this.#length + more <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(this.#bytes.length * 2, this.#length + more));
    this.#bytes.copy(grown, 0, 0, this.#length);
    this.#bytes = grown;
  }
}

const MINUS = 0x2d;
/** Of the largest safe integer, and its sign. */
const DIGITS_MAX = 17;

/** `value` is below a billion. */
function digitsOf(value: number): number {
  let count = 1;
  for (let bound = 10; value >= bound; bound *= 10) count++;
  return count;
}
