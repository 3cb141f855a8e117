/**
 * How values lie on the disk: encryption at rest (`mesh/vault/board-cipher.ts`). `seal` and `open` are bound to the place
 * of the value, so that a value that was moved to another key or version does not open. Synchronous: a read is one tick.
 */
export interface ValueCipher {
  seal(value: string, at: { readonly key: string; readonly version: number }): string;
  /** Throws when it was not sealed for this place. */
  open(sealed: string, at: { readonly key: string; readonly version: number }): string;
}

export const plainValues: ValueCipher = { seal: (value) => value, open: (sealed) => sealed };
