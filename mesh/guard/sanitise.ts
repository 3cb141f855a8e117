/**
 * Removes from text that comes from outside what a person does not see but a model reads: tag characters
 * (U+E0000–E007F), bidirectional overrides and isolates, C0/C1 controls but tab and line feed, fillers, interlinear
 * and other invisible format characters, private use, lone surrogates (UAX #9, UTS #39). What scripts and emoji
 * need stays, one at a time and where they need it only (RFC 5892 appendix A, UTS #51, UTS #37).
 */
export function sanitise(text: string): { readonly text: string; readonly removed: number } {
  const whole = text.toWellFormed().replace(/\r\n?/g, "\n");
  const seen = whole.replace(INVISIBLE, "$1");
  const clean = STRAY.reduce((text, stray) => text.replace(stray, ""), seen);
  return { text: clean, removed: whole.length - clean.length };
}

/** The three flags that are spelled with tags (England, Scotland, Wales) are group 1, so that they stay. */
const INVISIBLE =
  // eslint-disable-next-line no-control-regex, no-misleading-character-class -- these characters are the subject here
  /(\u{1f3f4}\u{e0067}\u{e0062}(?:\u{e0065}\u{e006e}\u{e0067}|\u{e0073}\u{e0063}\u{e0074}|\u{e0077}\u{e006c}\u{e0073})\u{e007f})|[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180e\u202a-\u202e\u2060-\u206f\u3164\ue000-\uf8ff\ufe03-\ufe0d\ufeff\uffa0\ufff9-\ufffd\u{1bca0}-\u{1bca3}\u{1d173}-\u{1d17a}\u{e0000}-\u{e00ff}\u{e0110}-\u{e0fff}\u{f0000}-\u{10ffff}]/gu;

/** Characters that are right in some surroundings, where they do not stand in them; scripts by their ISO 15924 code. */
const STRAY: readonly RegExp[] = [
  // Zero-width space: breaks words in scripts that write no spaces.
  /(?<![\p{scx=Khmr}\p{scx=Laoo}\p{scx=Thai}\p{scx=Mymr}\p{scx=Tibt}\p{scx=Java}\p{scx=Bali}])\u200b/gu,
  // Non-joiner: in scripts whose letters join.
  /(?<![\p{scx=Arab}\p{scx=Syrc}\p{scx=Mand}\p{scx=Mong}\p{scx=Phag}\p{scx=Nkoo}\p{scx=Adlm}\p{scx=Rohg}\p{scx=Deva}\p{scx=Beng}\p{scx=Guru}\p{scx=Gujr}\p{scx=Orya}\p{scx=Taml}\p{scx=Telu}\p{scx=Knda}\p{scx=Mlym}\p{scx=Sinh}\p{scx=Khmr}\p{scx=Laoo}\p{scx=Thai}\p{scx=Mymr}\p{scx=Tibt}\p{scx=Lana}\p{scx=Bali}\p{scx=Java}\p{scx=Sund}])\u200c/gu,
  // Joiner: there, too, or between two parts of an emoji.
  /(?<![\p{scx=Arab}\p{scx=Syrc}\p{scx=Mand}\p{scx=Mong}\p{scx=Phag}\p{scx=Nkoo}\p{scx=Adlm}\p{scx=Rohg}\p{scx=Deva}\p{scx=Beng}\p{scx=Guru}\p{scx=Gujr}\p{scx=Orya}\p{scx=Taml}\p{scx=Telu}\p{scx=Knda}\p{scx=Mlym}\p{scx=Sinh}\p{scx=Khmr}\p{scx=Laoo}\p{scx=Thai}\p{scx=Mymr}\p{scx=Tibt}\p{scx=Lana}\p{scx=Bali}\p{scx=Java}\p{scx=Sund}])(?<![\p{Extended_Pictographic}\p{Emoji_Modifier}\ufe0f](?=\u200d\p{Extended_Pictographic}))\u200d/gu,
  // Direction marks: near a letter that is written from right to left. The Arabic letter mark counts as Arabic
  // itself, but marks must not vouch for one another.
  /(?<!(?!\u061c)[\p{scx=Arab}\p{scx=Hebr}\p{scx=Syrc}\p{scx=Thaa}\p{scx=Nkoo}\p{scx=Adlm}][\p{P}\p{Zs}\p{N}]{0,2})[\u061c\u200e\u200f](?![\p{P}\p{Zs}\p{N}]{0,2}(?!\u061c)[\p{scx=Arab}\p{scx=Hebr}\p{scx=Syrc}\p{scx=Thaa}\p{scx=Nkoo}\p{scx=Adlm}])/gu,
  // Variation selectors: of emoji, of letters and symbols with variants, of ideographs.
  /(?<!\p{Emoji})[\ufe0e\ufe0f]/gu,
  /(?<![\p{Script=Han}\p{Script=Mymr}\p{Script=Phag}\p{Sm}])[\ufe00-\ufe02]/gu,
  /(?<!\p{Script=Han})[\u{e0100}-\u{e010f}]/gu,
];
