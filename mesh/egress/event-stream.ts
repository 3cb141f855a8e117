/**
 * Splits a server-sent event stream (WHATWG HTML §9.2) at event borders without copying text around.
 * Bytes of an unfinished event are held, so that a stream can always be ended in good form.
 */
export class EventSplitter {
  #held: Buffer = Buffer.alloc(0);
  readonly #eventBytesMax: number;

  constructor(eventBytesMax: number) {
    this.#eventBytesMax = eventBytesMax;
  }

  /** Whole events that are complete with `chunk`; throws RangeError when one event is larger than the bound. */
  push(chunk: Buffer): Buffer {
    const searchFrom = Math.max(0, this.#held.length - 3);
    const bytes = this.#held.length > 0 ? Buffer.concat([this.#held, chunk]) : chunk;
    const end = lastBorder(bytes, searchFrom);
    this.#held = Buffer.from(bytes.subarray(end));
    if (this.#held.length > this.#eventBytesMax) throw new RangeError("event is larger than the bound");
    return bytes.subarray(0, end);
  }

  /** What is left when the stream ends; a complete stream leaves nothing. */
  rest(): Buffer {
    return this.#held;
  }
}

/** Offset after the last blank line (LF LF, CR LF CR LF or CR CR), or 0. */
function lastBorder(bytes: Buffer, from: number): number {
  const ends = ["\n\n", "\r\n\r\n", "\r\r"].map((border) => {
    const at = bytes.lastIndexOf(border);
    return at < from ? 0 : at + border.length;
  });
  return Math.max(...ends);
}

/** The `data` of each event in a text of whole events; comments and other fields are passed over. */
export function* eventData(events: Buffer): Generator<string> {
  let data: string[] = [];
  // A reader drops the byte order mark before a stream's first line.
  for (const line of events
    .toString("utf8")
    .replace(/^\ufeff/, "")
    .split(/\r\n|\n|\r/)) {
    if (line === "") {
      if (data.length > 0) yield data.join("\n");
      data = [];
    } else if (line.startsWith("data:")) {
      data.push(line.slice(line[5] === " " ? 6 : 5));
    }
  }
}
