import { limits } from "../../protocol/limits.ts";
import type { Turns } from "./turns.ts";

/** Bytes of memory. */
export interface MemoryBounds {
  /** Of one sender. */
  readonly senderBytesMax: number;
  /** What no other sender can take from one. */
  readonly ownBytes: number;
  /** For what all of them have beyond their own. */
  readonly sharedBytesMax: number;
}

/**
 * The mesh's memory for bodies that are on their way and calls that wait for their answers: it is everybody's, and
 * without a bound a few senders would take all of it.
 */
export class BodyMemory {
  readonly #bounds: MemoryBounds;
  #sharedBytes = 0;

  constructor(bounds: MemoryBounds = DOORS) {
    this.#bounds = bounds;
  }

  /** Of one more sender. */
  share(): MemoryShare {
    const { senderBytesMax, ownBytes, sharedBytesMax } = this.#bounds;
    let held = 0;
    const beyond = (bytes: number): number => Math.max(0, bytes - ownBytes);
    return {
      take: (bytes) => {
        const shared = this.#sharedBytes + beyond(held + bytes) - beyond(held);
        if (held + bytes > senderBytesMax || (shared > sharedBytesMax && shared > this.#sharedBytes)) return false;
        held += bytes;
        this.#sharedBytes = shared;
        return true;
      },
      give: (bytes) => {
        this.#sharedBytes -= beyond(held) - beyond(held - bytes);
        held -= bytes;
      },
    };
  }
}

const DOORS: MemoryBounds = {
  senderBytesMax: limits.door.bodiesBytesMax,
  ownBytes: limits.door.bodiesOwnBytes,
  sharedBytesMax: limits.door.bodiesSharedBytesMax,
};

export interface MemoryShare {
  /** False: there is not so much left. */
  take(bytes: number): boolean;
  give(bytes: number): void;
}

/** What the body of one request costs its sender: turns of the loop, and memory until the request has its answer. */
export class BodyCost {
  readonly turns: Turns;
  readonly #share: MemoryShare;
  #bytes = 0;

  constructor(turns: Turns, share: MemoryShare) {
    this.turns = turns;
    this.#share = share;
  }

  /** So many bytes in all; false: the sender may not have them. */
  hold(bytes: number): boolean {
    const more = bytes - this.#bytes;
    if (more <= 0) return true;
    if (!this.#share.take(more)) return false;
    this.#bytes = bytes;
    return true;
  }

  end(): void {
    this.#share.give(this.#bytes);
    this.#bytes = 0;
  }
}
