/** Bounds on what many sandboxes ask for in the same moment. */

/** So many at once, the others in the order in which they came. */
export class Lanes {
  readonly #waiting: (() => void)[] = [];
  #free: number;

  constructor(max: number) {
    this.#free = max;
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free++;
    }
  }
}

/** One reading for all who ask while another is under way; it begins after they have asked. */
export function shared<T>(read: () => Promise<T>): () => Promise<T> {
  let [running, next]: (Promise<T> | undefined)[] = [];
  const begin = (): Promise<T> => {
    const reading = read();
    running = reading;
    next = undefined;
    const done = (): void => {
      if (running === reading) running = undefined;
    };
    reading.then(done, done);
    return reading;
  };
  return () => (running === undefined ? begin() : (next ??= running.then(begin, begin)));
}
