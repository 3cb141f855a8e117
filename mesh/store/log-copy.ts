import { Worker } from "node:worker_threads";

const COPIER = new URL(import.meta.url.endsWith(".ts") ? "./copier.ts" : "./copier.js", import.meta.url);

/**
 * The log, copied back into the database beside the writer: between two transactions it would keep everybody waiting for as
 * long as dozens of them take. Its thread is started when there is something to copy for the first time, in most states never.
 * A copy that cannot be made loses nothing: the log grows, and a transaction that finds no room for itself tells.
 */
export class LogCopy {
  readonly #folder: string;
  readonly #onEnd: () => void;
  #thread: Worker | undefined;

  /** `onEnd`: a copy has ended, whether or not it was made. */
  constructor(folder: string, onEnd: () => void) {
    this.#folder = folder;
    this.#onEnd = onEnd;
  }

  begin(): void {
    try {
      this.#thread ??= this.#started();
      this.#thread.postMessage(null);
    } catch {
      // The system has no thread to give.
      this.#onEnd();
    }
  }

  async close(): Promise<void> {
    const thread = this.#thread;
    this.#thread = undefined;
    await thread?.terminate();
  }

  #started(): Worker {
    const thread = new Worker(COPIER, { workerData: this.#folder, env: {}, execArgv: [], name: "cordon-copier" });
    thread.unref();
    thread.on("message", this.#onEnd);
    thread.on("error", () => {
      if (this.#thread !== thread) return;
      this.#thread = undefined;
      this.#onEnd();
    });
    return thread;
  }
}
