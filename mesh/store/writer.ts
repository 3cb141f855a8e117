/** The writer thread: owns the only writing connection. Runs all that waits as one transaction. */
import { join } from "node:path";
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { createBatchRunner } from "./batch.ts";
import { openWriter } from "./connection.ts";
import { classify } from "./failure.ts";
import { storeFiles } from "./files.ts";
import { LogFile } from "./log-file.ts";
import { unpacked } from "./packing.ts";
import type { StoreFailure, Row } from "./store.ts";

export type ToWriter = { readonly rows: string; readonly upTo: number } | { readonly close: true };
export type FromWriter =
  | { readonly ready: true }
  | { readonly upTo: number }
  | { readonly closed: true }
  | { readonly failed: { readonly kind: StoreFailure["kind"]; readonly message: string } };

const port = parentPort;
if (port) serve(port, String((workerData as { folder: unknown }).folder));

function serve(port: NonNullable<typeof parentPort>, folder: string): void {
  const answer = (message: FromWriter): void => port.postMessage(message);
  const fail = (error: unknown): void => {
    const { kind, message } = classify(error, folder);
    answer({ failed: { kind, message } });
    port.close();
  };
  try {
    const db = openWriter(folder);
    const run = createBatchRunner(db);
    const log = new LogFile(join(folder, storeFiles.database));
    port.on("message", (first: ToWriter) => {
      try {
        const { writes, upTo, close } = drain(port, first);
        if (writes.length > 0) run(writes);
        answer({ upTo });
        if (!close) return log.grow();
        db.close();
        answer({ closed: true });
        port.close();
      } catch (error) {
        fail(error);
      }
    });
    answer({ ready: true });
  } catch (error) {
    fail(error);
  }
}

/** `first` and all that came in since the last transaction. */
function drain(port: NonNullable<typeof parentPort>, first: ToWriter) {
  const writes: Row[] = [];
  let upTo = 0;
  let close = false;
  for (let job: ToWriter | undefined = first; job; job = receiveMessageOnPort(port)?.message as ToWriter | undefined) {
    if ("close" in job) {
      close = true;
      break;
    }
    for (const write of unpacked(job.rows)) writes.push(write);
    upTo = job.upTo;
  }
  return { writes, upTo, close };
}
