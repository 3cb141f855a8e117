/**
 * What a watcher is told of where it stands (`mesh/vault/cursor-cipher.ts`). The numbers of changes count what everybody
 * writes: who may not read that must not learn how much of it there is. `watch` names whose cursor it is.
 */
export interface CursorCipher {
  /** The same number of the same watch gives the same text. */
  seal(seq: number, watch: string): string;
  /** Undefined: it was not sealed for this watch. */
  open(cursor: string, watch: string): number | undefined;
}

export const plainCursors: CursorCipher = {
  seal: (seq) => String(seq),
  open: (cursor) => (/^\d{1,15}$/.test(cursor) ? Number(cursor) : undefined),
};
