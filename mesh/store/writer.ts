/** The writer thread: owns the only writing connection. Runs all that waits as one transaction. */
import { join } from "node:path";
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { createBatchRunner } from "./batch.ts";
import { openWriter } from "./connection.ts";
import { classify } from "./failure.ts";
import { storeFiles } from "./files.ts";
import { Log } from "./log.ts";
import { unpacked, type PackedRows } from "./packing.ts";
import type { StoreFailure, Row } from "./store.ts";

/** `upTo` 0: more of the same transaction follows. */
export type ToWriter =
  | { readonly rows: PackedRows; readonly upTo: number }
  | { readonly copied: true }
  | { readonly close: true };
export type FromWriter =
  | { readonly ready: true }
  | { readonly upTo: number }
  /** The log is to be copied back; `copied` is the answer. */
  | { readonly full: true }
  | { readonly closed: true }
  | { readonly failed: { readonly kind: StoreFailure["kind"]; readonly message: string } };

/** `posted` counts what was sent to the writer; it sleeps on it. */
export interface WriterParts {
  readonly folder: string;
  readonly posted: SharedArrayBuffer;
}

const port = parentPort;
if (port) serve(port, workerData as WriterParts);

/**
 * Sleeps by itself and not in an event loop, which to wake costs half as much: nothing else happens on this thread. The
 * counter is read before what was sent: what comes in between is found, or ends the sleep at once.
 */
function serve(port: NonNullable<typeof parentPort>, { folder, posted }: WriterParts): void {
  const answer = (message: FromWriter): void => port.postMessage(message);
  const counter = new Int32Array(posted);
  try {
    const db = openWriter(folder);
    const run = createBatchRunner(db);
    const log = new Log(db, join(folder, storeFiles.database));
    answer({ ready: true });
    let writes: Row[] = [];
    for (;;) {
      const seen = Atomics.load(counter, 0);
      const { upTo, copied, close } = drain(port, writes);
      if (upTo > 0) {
        if (writes.length > 0) run(writes);
        writes = [];
        answer({ upTo });
      }
      if (close) {
        db.close();
        return answer({ closed: true });
      }
      if (copied) log.finish();
      else if (upTo === 0) Atomics.wait(counter, 0, seen);
      else if (log.look()) answer({ full: true });
    }
  } catch (error) {
    const { kind, message } = classify(error, folder);
    answer({ failed: { kind, message } });
  }
}

/** Adds to `writes` what came in; `upTo` 0: no transaction is whole. */
function drain(port: NonNullable<typeof parentPort>, writes: Row[]) {
  for (let job = next(port); job; job = next(port)) {
    if ("close" in job) return { upTo: 0, copied: false, close: true };
    if ("copied" in job) return { upTo: 0, copied: true, close: false };
    for (const write of unpacked(job.rows)) writes.push(write);
    // The next one waits for its own: what is not whole never shares a transaction with what is.
    if (job.upTo > 0) return { upTo: job.upTo, copied: false, close: false };
  }
  return { upTo: 0, copied: false, close: false };
}

function next(port: NonNullable<typeof parentPort>): ToWriter | undefined {
  return receiveMessageOnPort(port)?.message as ToWriter | undefined;
}
