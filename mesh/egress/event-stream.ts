/**
 * Splits a server-sent event stream (WHATWG HTML §9.2) at event borders without copying text around.
 * Bytes of an unfinished event are held, so that a stream can always be ended in good form.
 */
export class EventSplitter {
  readonly #held: Buffer[] = [];
  #heldBytes = 0;
  readonly #eventBytesMax: number;

  constructor(eventBytesMax: number) {
    this.#eventBytesMax = eventBytesMax;
  }

  /** Whole events that are complete with `chunk`; throws RangeError when one event is larger than the bound. */
  push(chunk: Buffer): Buffer {
    if (this.#heldBytes === 0 && endsWithBorder(chunk)) return chunk;
    const tail = this.#tail();
    const end = lastBorder(tail.length > 0 ? Buffer.concat([tail, chunk]) : chunk) - tail.length;
    // What was held has no border of its own, so one that is found ends in this chunk.
    if (end <= 0) {
      this.#hold(chunk);
      return NOTHING;
    }
    const whole = chunk.subarray(0, end);
    const events = this.#heldBytes > 0 ? Buffer.concat([...this.#held, whole]) : whole;
    this.#held.length = 0;
    this.#heldBytes = 0;
    if (end < chunk.length) this.#hold(chunk.subarray(end));
    return events;
  }

  /** What is left when the stream ends; a complete stream leaves nothing. */
  rest(): Buffer {
    return Buffer.concat(this.#held);
  }

  #hold(bytes: Buffer): void {
    this.#heldBytes += bytes.length;
    if (this.#heldBytes > this.#eventBytesMax) throw new RangeError("event is larger than the bound");
    // Small pieces are put together, each byte a few times at most, however a provider cuts its stream.
    let piece = bytes;
    while ((this.#held.at(-1)?.length ?? Infinity) <= piece.length * 2)
      piece = Buffer.concat([this.#held.pop() ?? NOTHING, piece]);
    this.#held.push(piece === bytes ? Buffer.from(bytes) : piece);
  }

  /** The last bytes that are held, as many as a border can have there. */
  #tail(): Buffer {
    if (this.#heldBytes === 0) return NOTHING;
    const bytes = BORDER_BYTES_MAX - 1;
    return Buffer.concat(this.#held.slice(-bytes).map((piece) => piece.subarray(-bytes))).subarray(-bytes);
  }
}

const NOTHING = Buffer.alloc(0);
const BORDERS = ["\n\n", "\r\n\r\n", "\r\r"] as const;
const BORDER_BYTES_MAX = 4;
const LF = 0x0a;

const endsWithBorder = (bytes: Buffer): boolean => bytes[bytes.length - 1] === LF && bytes[bytes.length - 2] === LF;

/** Offset after the last blank line (LF LF, CR LF CR LF or CR CR), or 0. */
function lastBorder(bytes: Buffer): number {
  let end = 0;
  for (const border of BORDERS) {
    const at = bytes.lastIndexOf(border);
    if (at >= 0) end = Math.max(end, at + border.length);
  }
  return end;
}

/** The `data` of each event in a text of whole events; comments and other fields are passed over. */
export function eventData(events: Buffer): string[] {
  const decoded = events.toString("utf8");
  // A reader drops the byte order mark before a stream's first line.
  const text = decoded.startsWith("\ufeff") ? decoded.slice(1) : decoded;
  return text.includes("\r") ? dataOfLines(text.split(/\r\n|\n|\r/)) : dataOfText(text);
}

/** The same as `dataOfLines`, of a text whose lines end with LF alone: what a provider sends, without a list of its lines. */
function dataOfText(text: string): string[] {
  const found: string[] = [];
  let data: string | undefined;
  for (let from = 0; from < text.length;) {
    const end = text.indexOf("\n", from);
    const to = end < 0 ? text.length : end;
    if (to === from) {
      if (data !== undefined) found.push(data);
      data = undefined;
    } else if (text.startsWith("data:", from)) {
      const value = text.slice(text[from + 5] === " " ? from + 6 : from + 5, to);
      data = data === undefined ? value : `${data}\n${value}`;
    }
    from = to + 1;
  }
  return found;
}

function dataOfLines(lines: readonly string[]): string[] {
  const found: string[] = [];
  let data: string[] = [];
  for (const line of lines) {
    if (line === "") {
      if (data.length > 0) found.push(data.join("\n"));
      data = [];
    } else if (line.startsWith("data:")) {
      data.push(line.slice(line[5] === " " ? 6 : 5));
    }
  }
  return found;
}
