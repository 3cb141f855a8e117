/**
 * What a sandbox prints, at the pace that the mesh chooses: a token bucket of bytes. When it is empty, or
 * when the reader is slow, the pipe is not read; the kernel then stops the writer, and only the writer.
 */
import { Socket } from "node:net";
import { Readable } from "node:stream";
import { limits } from "../../protocol/limits.ts";
import type { Clock } from "../../lib/clock.ts";

const { logBytesPerSecondMax } = limits.sandbox;
const PAUSE_MS = 100;

export class SandboxOutput extends Readable {
  readonly #pipe: Readable;
  readonly #clock: Clock;
  readonly #onFlood: (bytesPerSecond: number) => void;
  #tokens = logBytesPerSecondMax;
  #filledAtMs: number;
  #inFlood = false;
  #holding = false;
  #unlimited = false;

  /** Takes ownership of `fd`, the reading end of the sandbox's pipe. */
  static ofPipe(fd: number, clock: Clock, onFlood: (bytesPerSecond: number) => void): SandboxOutput {
    return new SandboxOutput(new Socket({ fd, readable: true, writable: false }), clock, onFlood);
  }

  /** Takes ownership of `pipe`, which has not been read yet and holds its writer back when it is not read. */
  constructor(pipe: Readable, clock: Clock, onFlood: (bytesPerSecond: number) => void) {
    super({ highWaterMark: logBytesPerSecondMax });
    this.#clock = clock;
    this.#onFlood = onFlood;
    this.#filledAtMs = clock.monotonicMs();
    this.#pipe = pipe;
    this.#pipe.pause();
    this.#pipe.on("data", (chunk: Buffer) => this.#take(chunk));
    this.#pipe.on("error", () => this.push(null));
    this.#pipe.on("end", () => this.push(null));
    this.#pipe.pause();
  }

  override _read(): void {
    if (!this.#holding) this.#pipe.resume();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#pipe.destroy();
    done(error);
  }

  /** The writer is dead; what the pipe still holds is bounded, so the rest need not be held back. */
  release(): void {
    this.#unlimited = true;
    this.#holding = false;
    this.#pipe.resume();
  }

  #take(chunk: Buffer): void {
    const now = this.#clock.monotonicMs();
    const sinceMs = now - this.#filledAtMs;
    this.#filledAtMs = now;
    this.#tokens = Math.min(logBytesPerSecondMax, this.#tokens + (sinceMs * logBytesPerSecondMax) / 1000);
    if (this.#tokens === logBytesPerSecondMax) this.#inFlood = false;
    this.#tokens -= chunk.length;
    const wanted = this.push(chunk);
    if (!wanted) this.#pipe.pause();
    if (this.#tokens < 0 && !this.#unlimited) this.#hold();
  }

  #hold(): void {
    this.#pipe.pause();
    this.#holding = true;
    if (!this.#inFlood) this.#onFlood(Math.round(logBytesPerSecondMax - this.#tokens));
    this.#inFlood = true;
    const waitMs = Math.max(PAUSE_MS, (-this.#tokens * 1000) / logBytesPerSecondMax);
    void this.#clock.sleep(waitMs).then(() => {
      this.#holding = false;
      if (!this.destroyed && this.readableLength < this.readableHighWaterMark) this.#pipe.resume();
    });
  }
}
