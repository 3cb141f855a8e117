/**
 * Removes from text that comes from outside what a person does not see but a model reads: tag characters
 * (U+E0000–E007F), bidirectional overrides and isolates, C0/C1 controls but tab and line feed, interlinear
 * and other invisible format characters, private use, lone surrogates (UAX #9, UTS #39). Joiners (ZWJ, ZWNJ)
 * and variation selectors stay where they join letters or emoji, as scripts and emoji need them.
 */
export function sanitise(text: string): { readonly text: string; readonly removed: number } {
  const whole = text.toWellFormed().replace(/\r\n?/g, "\n");
  const clean = whole.replace(INVISIBLE, "").replace(LONELY_JOINER, "");
  return { text: clean, removed: whole.length - clean.length };
}

const INVISIBLE =
  // eslint-disable-next-line no-control-regex, no-misleading-character-class -- these characters are the subject here
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\ue000-\uf8ff\ufeff\uffa0\ufff9-\ufffd\u{1bca0}-\u{1bca3}\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}\u{f0000}-\u{10ffff}]/gu;

/** A joiner or selector that follows neither a letter, a mark, a digit nor a symbol joins nothing: it only hides data. */
const LONELY_JOINER =
  /(?<![\p{L}\p{M}\p{N}\p{S}\p{Emoji}])[\u200c\u200d\ufe00-\ufe0f]+|(?<=[\u200c\u200d\ufe00-\ufe0f])[\ufe00-\ufe0f]+/gu;
