const MiB = 1024 ** 2;

/** Where a flood of `hostile/` ends by itself when nothing stops it: more than a container is given, harmless to a machine. */
export const floods = {
  ...{ processCount: 600, memoryBytesMax: 768 * MiB, diskBytesMax: 128 * MiB, descriptorsMax: 20_000 },
  /** Of the processors that it can see (at most so many threads), this share is too much for one container. */
  processor: { threadsMax: 8, windowMs: 1_000, windows: 3, shareMax: 0.75 },
  log: { bytesMax: 32 * MiB, ms: 2_000 },
};
