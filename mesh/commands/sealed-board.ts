import { randomBytes } from "node:crypto";
import type { BoardOptions } from "../blackboard/blackboard.ts";
import type { Store } from "../store/store.ts";
import { boardCipher } from "../vault/board-cipher.ts";
import { cursorCipher } from "../vault/cursor-cipher.ts";
import type { MasterKey } from "../vault/master-key.ts";

/** Name in `meta`: the last change of the board from before values were sealed. */
const PLAIN_UP_TO = "board_plain_up_to";

/** How the board's values lie on the disk: sealed, but for what a version wrote that did not seal yet; and its cursors. */
export async function sealedBoard(store: Store, key: MasterKey): Promise<Omit<BoardOptions, "appendOnly">> {
  const known = store.query.meta.get(PLAIN_UP_TO);
  const plainUpTo = known === undefined ? store.query.watches.head() : Number(known);
  if (known === undefined) await store.commit([["meta.set", PLAIN_UP_TO, String(plainUpTo)]]);
  return { cipher: boardCipher(key, randomBytes), cursors: cursorCipher(key), plainUpTo };
}
