import { jsonOf } from "./json-fields.ts";
import type { Json } from "../../../lib/json.ts";
import { limits } from "../../../protocol/limits.ts";

const [QUOTE, ESCAPE, COLON, COMMA] = [0x22, 0x5c, 0x3a, 0x2c];
const [OPEN_OBJECT, CLOSE_OBJECT, OPEN_LIST, CLOSE_LIST] = [0x7b, 0x7d, 0x5b, 0x5d];
const MEMBER = "usage";

/**
 * Finds the member `usage` of a JSON object while the object passes, and keeps nothing else of it: an answer can hold
 * many megabytes of pictures. Linear in the bytes. A member that is there twice, or that is too long, is none.
 */
export class UsageFinder {
  #depth = 0;
  #inString = false;
  #escaped = false;
  /** At the top level: the next string is a name. */
  #atName = false;
  #keeping: "name" | "value" | undefined;
  #kept: Buffer[] = [];
  #bytes = 0;
  #name = "";
  #found: Json | undefined;
  #times = 0;
  #ended = false;
  #broken = false;

  /** The object was whole. */
  get complete(): boolean {
    return this.#ended && !this.#broken;
  }

  /** What was found; undefined: nothing that can be believed. */
  get usage(): Json | undefined {
    return this.#times === 1 && !this.#broken ? this.#found : undefined;
  }

  push(chunk: Buffer): void {
    /** Where in the chunk what is kept begins. */
    let from = 0;
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at] ?? 0;
      if (this.#inString) {
        if (this.#escaped) this.#escaped = false;
        else if (byte === ESCAPE) this.#escaped = true;
        else if (byte === QUOTE) {
          this.#inString = false;
          if (this.#keeping === "name") this.#name = this.#take(chunk.subarray(from, at)) ?? "";
        }
      } else if (byte === QUOTE) {
        this.#inString = true;
        if (this.#depth === 0) this.#broken = true;
        if (this.#depth === 1 && this.#atName) from = this.#keep("name", at + 1);
        this.#atName = false;
      } else if (this.#depth === 1 && byte === COLON && this.#name === MEMBER) {
        from = this.#keep("value", at + 1);
      } else if (byte === OPEN_OBJECT || byte === OPEN_LIST) {
        if (this.#ended || (this.#depth === 0 && byte === OPEN_LIST)) this.#broken = true;
        this.#depth++;
        this.#atName = this.#depth === 1;
      } else if (this.#depth === 1 && (byte === COMMA || byte === CLOSE_OBJECT)) {
        if (this.#keeping === "value") this.#takeValue(chunk.subarray(from, at));
        this.#name = "";
        this.#atName = byte === COMMA;
        if (byte === COMMA) continue;
        this.#depth = 0;
        this.#ended = true;
      } else if (byte === CLOSE_OBJECT || byte === CLOSE_LIST) {
        if (this.#depth <= 1) this.#broken = true;
        else this.#depth--;
      } else if (this.#depth === 0 && !isSpace(byte)) this.#broken = true;
    }
    if (this.#keeping) this.#add(chunk.subarray(from));
  }

  #keep(what: "name" | "value", from: number): number {
    this.#keeping = what;
    this.#kept = [];
    this.#bytes = 0;
    return from;
  }

  #add(bytes: Buffer): void {
    this.#bytes += bytes.length;
    if (this.#bytes <= limits.model.usageBytesMax) this.#kept.push(Buffer.from(bytes));
  }

  /** Undefined: it was too long. */
  #take(last: Buffer): string | undefined {
    this.#add(last);
    this.#keeping = undefined;
    const text = this.#bytes <= limits.model.usageBytesMax ? Buffer.concat(this.#kept).toString("utf8") : undefined;
    this.#kept = [];
    return text;
  }

  #takeValue(last: Buffer): void {
    this.#times++;
    const text = this.#take(last);
    this.#found = text === undefined ? undefined : jsonOf(text);
  }
}

const isSpace = (byte: number): boolean => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
