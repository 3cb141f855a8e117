import { Utf8Text } from "../store/utf8-text.ts";
import { limits } from "../../protocol/limits.ts";
import type { Row } from "../store/store.ts";

const LINE_BREAK = 0x0a;

/** Records on their way to the disk: what goes there together is one row. */
export class Segments {
  #first = 0;
  #last = 0;
  #lines = new Utf8Text();
  #hashes = new Utf8Text();
  #full: Row[] = [];

  /** `seq` is the next one; the line is what `text` holds from `begin` on; the hash is text of one byte a character. */
  add(seq: number, text: Utf8Text, begin: number, hash: string): void {
    if (this.#hashes.length === 0) this.#first = seq;
    else this.#lines.byte(LINE_BREAK);
    this.#lines.putFrom(text, begin);
    this.#last = seq;
    this.#hashes.latin1(hash);
    if (this.#lines.length < limits.audit.segmentCharsMax) return;
    this.#full.push(this.#row());
    // What waits for the disk keeps its memory.
    [this.#lines, this.#hashes] = [new Utf8Text(), new Utf8Text()];
  }

  /** All since the last time; their bytes stay what they are until the next record. */
  rows(): readonly Row[] {
    const rows = this.#full;
    this.#full = [];
    if (this.#hashes.length > 0) rows.push(this.#row());
    this.#lines.cut(0);
    this.#hashes.cut(0);
    return rows;
  }

  #row(): Row {
    return ["audit.insertSegment", this.#first, this.#last, this.#hashes.view(), this.#lines.view()];
  }
}
