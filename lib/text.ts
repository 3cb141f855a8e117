/**
 * Makes hostile text safe to print on a terminal: C0 and C1 controls (ANSI escapes among them), bidirectional controls, other
 * separators of lines, and what nobody sees and a command or an approval may hold all the same become visible `\u{…}`; line feed
 * and tab stay, and so do joiners and variation selectors, which scripts and emoji need.
 */
export const printable = (text: string): string =>
  text.replace(HIDDEN, (char, flag?: string) => flag ?? `\\u{${char.codePointAt(0)?.toString(16)}}`);

/** The same for what is one line: who could begin another would tell of what never was. */
export const printableLine = (text: string): string =>
  printable(text).replaceAll("\n", "\\u{a}").replaceAll("\t", "\\u{9}");

/** Group 1: the three flags that are spelled with tags (England, Scotland, Wales). */
const HIDDEN =
  // eslint-disable-next-line no-control-regex, no-misleading-character-class -- these characters are the subject here
  /(\u{1f3f4}\u{e0067}\u{e0062}(?:\u{e0065}\u{e006e}\u{e0067}|\u{e0073}\u{e0063}\u{e0074}|\u{e0077}\u{e006c}\u{e0073})\u{e007f})|[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u180e\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;

/** Shortens to `max` UTF-16 units and says so, without splitting a surrogate pair. */
export function shorten(text: string, max: number): string {
  if (text.length <= max) return text;
  const end = /[\ud800-\udbff]/.test(text[max - 2] ?? "") ? max - 2 : max - 1;
  return `${text.slice(0, end)}…`;
}
