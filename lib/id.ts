/** Identifiers as a parameter. `prefix_` + 26 characters of base 32 (130 random bits). */
export interface Id {
  next(prefix: string): string;
}

const ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789";
const LENGTH = 26;

/** Unguessable: drawn from the system's random source, so that an id reveals neither order nor count. */
export const randomId: Id = {
  next(prefix) {
    const bytes = crypto.getRandomValues(new Uint8Array(LENGTH));
    let out = `${prefix}_`;
    for (const byte of bytes) out += ALPHABET[byte & 31];
    return out;
  },
};
