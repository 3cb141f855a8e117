/** Identifiers as a parameter. `prefix_` + 26 characters of base 32 (130 random bits). */
export interface Id {
  next(prefix: string): string;
}

const ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789";
const LENGTH = 26;

/** Unguessable: drawn from the system's random source, so that an id reveals neither order nor count. */
export const randomId: Id = {
  next(prefix) {
    if (used === drawn.length) {
      crypto.getRandomValues(drawn);
      used = 0;
    }
    for (let at = 0; at < LENGTH; at++) {
      codes[at] = ALPHABET.charCodeAt((drawn[used] ?? 0) & 31);
      drawn[used++] = 0;
    }
    return `${prefix}_${String.fromCharCode(...codes)}`;
  },
};

/** For several ids at once: each question to the system costs as much as forty of them. No byte is used twice. */
const drawn = new Uint8Array(64 * LENGTH);
let used = drawn.length;
/** The characters of one: a string that grows by one after the other is an object for each. */
const codes = Array.from({ length: LENGTH }, () => 0);
