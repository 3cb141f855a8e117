/** The thread that copies the log back into the database, while the writer goes on. */
import { parentPort, workerData } from "node:worker_threads";
import { openCopier } from "./connection.ts";

const port = parentPort;
if (port) {
  const db = openCopier(String(workerData));
  const copy = db.prepare("PRAGMA wal_checkpoint(PASSIVE)");
  port.on("message", () => {
    try {
      copy.get();
    } catch {
      // What cannot be copied stays in the log, as with SQLite's own copies at the end of a transaction.
    }
    port.postMessage(null);
  });
}
