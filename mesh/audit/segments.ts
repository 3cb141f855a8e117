import { limits } from "../../protocol/limits.ts";
import type { Row } from "../store/store.ts";
import { bytesOf } from "./chain.ts";

/** Records on their way to the disk: what goes there together is one row. */
export class Segments {
  #first = 0;
  #last = 0;
  #lines = "";
  /** As text of one byte a character. */
  #hashes = "";
  #full: Row[] = [];

  /** `seq` is the next one; the hash as text. */
  add(seq: number, line: string, hash: string): void {
    if (this.#hashes.length === 0) [this.#first, this.#lines] = [seq, line];
    else this.#lines += `\n${line}`;
    this.#last = seq;
    this.#hashes += hash;
    if (this.#lines.length >= limits.audit.segmentCharsMax) this.#end();
  }

  /** All since the last time. */
  rows(): readonly Row[] {
    if (this.#hashes.length > 0) this.#end();
    const rows = this.#full;
    this.#full = [];
    return rows;
  }

  #end(): void {
    this.#full.push(["audit.insertSegment", this.#first, this.#last, bytesOf(this.#hashes), this.#lines]);
    [this.#lines, this.#hashes] = ["", ""];
  }
}
