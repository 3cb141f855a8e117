import { Worker } from "node:worker_threads";
import { storeFailure } from "./failure.ts";
import type { Executor, GroupCommit } from "./group-commit.ts";
import { LogCopy } from "./log-copy.ts";
import { packed } from "./packing.ts";
import { StoreFailure } from "./store.ts";
import type { FromWriter, ToWriter, WriterParts } from "./writer.ts";

// Run from its source, a file is `.ts`; compiled for a package it is `.js`.
const WRITER = new URL(import.meta.url.endsWith(".ts") ? "./writer.ts" : "./writer.js", import.meta.url);

/** Starts the writer thread; resolves when it has opened the database, rejects with its StoreFailure. */
export async function startWriter(folder: string): Promise<(group: GroupCommit) => Executor> {
  const posted = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
  const workerData: WriterParts = { folder, posted };
  const worker = new Worker(WRITER, { workerData, env: {}, execArgv: [], name: "cordon-store" });
  const first = await new Promise<FromWriter>((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
    worker.once("exit", () => reject(storeFailure("io", folder, "the writer ended before it was ready")));
  });
  if ("failed" in first) throw new StoreFailure(first.failed.kind, first.failed.message);
  return (group) => attach(worker, posted, group, folder);
}

function attach(worker: Worker, posted: SharedArrayBuffer, group: GroupCommit, folder: string): Executor {
  const closed = Promise.withResolvers<void>();
  const onMessage = (message: FromWriter): void => {
    if ("upTo" in message) group.acknowledge(message.upTo);
    if ("full" in message && !closing) copy.begin();
    if ("failed" in message) group.fail(new StoreFailure(message.failed.kind, message.failed.message));
  };
  worker.on("message", onMessage);
  worker.on("error", (error) => group.fail(storeFailure("io", folder, "the writer broke", error)));
  let closing = false;
  worker.on("exit", () => {
    if (!closing) group.fail(storeFailure("io", folder, "the writer has ended"));
    closed.resolve();
  });
  const counter = new Int32Array(posted);
  const post = (message: ToWriter): void => {
    worker.postMessage(message);
    Atomics.add(counter, 0, 1);
    Atomics.notify(counter, 0);
  };
  const copy = new LogCopy(folder, () => post({ copied: true }));
  return {
    run: (writes, upTo) => {
      let from = 0;
      do {
        const { to, ...rows } = packed(writes, from);
        post({ rows, upTo: to === writes.length ? upTo : 0 });
        from = to;
      } while (from < writes.length);
    },
    close: () => {
      closing = true;
      // The writer is the last to leave.
      void copy.close().then(() => post({ close: true }));
      return closed.promise;
    },
  };
}
