import { closeSync, ftruncateSync, openSync, statSync, writeSync } from "node:fs";
import { assert } from "../../lib/assert.ts";
import { limits } from "../../protocol/limits.ts";

const PAGE_BYTES = 4_096;
const FRAME_HEAD_BYTES = 24;
const { checkpointPagesMin, logGrownFromBytes, walBytesMax } = limits.store;

/** What the log has grown to when it is copied back and begun anew, with room for the transaction that goes beyond. */
const FULL_BYTES = checkpointPagesMin * (PAGE_BYTES + FRAME_HEAD_BYTES) + logGrownFromBytes;
assert(FULL_BYTES < walBytesMax, "a log that was begun anew keeps its size");

/**
 * Gives the write-ahead log of a state that is in use the size that it will have anyway. To sync a file that has grown
 * costs a journalling file system twice what it costs to sync one that has not. Zeros are no frame of a log (their salt
 * and checksum do not fit, https://sqlite.org/fileformat2.html#the_write_ahead_log), so recovery ends where the log does,
 * and SQLite holds no lock on this file that closing it could drop.
 */
export class LogFile {
  readonly #file: string;
  #grown = false;

  constructor(database: string) {
    this.#file = `${database}-wal`;
  }

  /** To be called by the only writer, between its transactions. */
  grow(): void {
    if (this.#grown) return;
    const { size } = statSync(this.#file, { throwIfNoEntry: false }) ?? { size: 0 };
    if (size < logGrownFromBytes) return;
    this.#grown = true;
    const log = opened(this.#file);
    if (log === undefined) return;
    try {
      const zeros = Buffer.alloc(logGrownFromBytes);
      for (let at = size; at < FULL_BYTES; at += zeros.length) writeSync(log, zeros, 0, zeros.length, at);
    } catch {
      // No room for zeros: what is left belongs to SQLite, which tells when it has too little.
      ftruncateSync(log, size);
    } finally {
      closeSync(log);
    }
  }
}

/** Undefined: it cannot be opened now (no descriptor is left), and what is only quicker must not end the store. */
function opened(file: string): number | undefined {
  try {
    return openSync(file, "r+");
  } catch {
    return undefined;
  }
}
