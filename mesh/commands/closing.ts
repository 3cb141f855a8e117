/** What is to be closed at the end, the newest first. What is opened when the end has begun is closed at once. */
export class Closing {
  readonly #closers: (() => Promise<unknown>)[] = [];
  readonly #tell: (fault: string) => void;
  #ended = false;

  constructor(tell: (fault: string) => void) {
    this.#tell = tell;
  }

  push(close: () => Promise<unknown>): void {
    if (this.#ended) void this.#close(close);
    else this.#closers.push(close);
  }

  async end(): Promise<void> {
    this.#ended = true;
    for (const close of this.#closers.toReversed()) await this.#close(close);
  }

  /** One that fails must not keep the others open. */
  async #close(close: () => Promise<unknown>): Promise<void> {
    try {
      await close();
    } catch (error) {
      this.#tell(`while ending: ${String(error)}\n`);
    }
  }
}
