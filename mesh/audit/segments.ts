import { limits } from "../../protocol/limits.ts";
import type { Row } from "../store/store.ts";
import { HASH_BYTES } from "../store/tables/audit-segment.ts";

/** Records on their way to the disk: what goes there together is one row. */
export class Segments {
  #first = 0;
  #last = 0;
  #lines = "";
  #hashes: Uint8Array[] = [];
  #full: Row[] = [];

  /** `seq` is the next one. */
  add(seq: number, line: string, hash: Uint8Array): void {
    if (this.#hashes.length === 0) [this.#first, this.#lines] = [seq, line];
    else this.#lines += `\n${line}`;
    this.#last = seq;
    this.#hashes.push(hash);
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
    const hashes = Buffer.concat(this.#hashes, this.#hashes.length * HASH_BYTES);
    this.#full.push(["audit.insertSegment", this.#first, this.#last, hashes, this.#lines]);
    [this.#lines, this.#hashes] = ["", []];
  }
}
