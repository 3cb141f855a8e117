/**
 * The rehearsal model's rule: four bytes of UTF-8 are a token, begun ones count. It is no tokenizer; it is
 * a fixed rule by which every test can say beforehand what a call will cost, and never more than the bytes.
 */
export const BYTES_PER_TOKEN = 4;

export const tokensOf = (bytes: number): number => Math.ceil(bytes / BYTES_PER_TOKEN);

/** The longest beginning of `text` that is at most `bytesMax` long and splits no character. */
export function cutToBytes(text: string, bytesMax: number): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= bytesMax) return text;
  let end = bytesMax;
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.toString("utf8", 0, end);
}

/** Words with the white space after them: joined they are the text again. A long word is one piece. */
export const wordPieces = (text: string): string[] => text.match(/^\s+|\S+\s*/g) ?? [];

/** Whole words, up to about `charsMax` characters a piece: joined they are the text again. */
export function phrasePieces(text: string, charsMax: number): string[] {
  const pieces: string[] = [];
  let open = "";
  for (const word of wordPieces(text)) {
    if (open !== "" && open.length + word.length > charsMax) {
      pieces.push(open);
      open = "";
    }
    open += word;
  }
  return open === "" ? pieces : [...pieces, open];
}

/** Pieces of `chars` characters, without splitting a surrogate pair: joined they are the text again. */
export function evenPieces(text: string, chars: number): string[] {
  const pieces: string[] = [];
  for (let at = 0; at < text.length;) {
    let end = Math.min(at + chars, text.length);
    if (end < text.length && /[\ud800-\udbff]/.test(text[end - 1] ?? "")) end++;
    pieces.push(text.slice(at, end));
    at = end;
  }
  return pieces;
}
