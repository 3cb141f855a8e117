import { assert } from "../../lib/assert.ts";
import { limits } from "../../protocol/limits.ts";
import { refusal, type Refusal } from "../../protocol/refusal.ts";

/** How many keys live, and who made them: those that were deleted count for nobody. */
export class KeyCensus {
  readonly #made: Map<string, number>;
  #keys = 0;

  constructor(makers: readonly { readonly maker: string; readonly keys: number }[]) {
    this.#made = new Map(makers.map(({ maker, keys }) => [maker, keys]));
    for (const { keys } of makers) this.#keys += keys;
  }

  /** Why nobody, or not this writer, may make another key. */
  full(writer: string): Refusal | undefined {
    const { keysPerFleetMax, keysPerWriterMax } = limits.board;
    const made = this.#made.get(writer) ?? 0;
    if (this.#keys < keysPerFleetMax && made < keysPerWriterMax) return undefined;
    const held = this.#keys < keysPerFleetMax ? `${made} keys of \`${writer}\`` : `${this.#keys} keys`;
    return refusal("too_large", `the board holds ${held}`, "write to keys that exist, or delete some");
  }

  add(maker: string): void {
    this.#keys++;
    this.#made.set(maker, (this.#made.get(maker) ?? 0) + 1);
  }

  remove(maker: string): void {
    const made = this.#made.get(maker) ?? 0;
    assert(made > 0, "a key that lives was counted");
    this.#keys--;
    if (made === 1) this.#made.delete(maker);
    else this.#made.set(maker, made - 1);
  }
}
