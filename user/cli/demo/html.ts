/** HTML text of which every inserted part was escaped. Made by `html` only. */
export class Html {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

type Piece = Html | string | number | readonly Html[];

/** Template tag: what is put in is escaped for text and quoted attributes, unless it is Html itself. */
export function html(strings: TemplateStringsArray, ...pieces: readonly Piece[]): Html {
  let out = strings[0] ?? "";
  pieces.forEach((piece, i) => {
    out += rendered(piece) + (strings[i + 1] ?? "");
  });
  return new Html(out);
}

function rendered(piece: Piece): string {
  if (piece instanceof Html) return piece.text;
  if (typeof piece === "string" || typeof piece === "number") return escapeHtml(String(piece));
  return piece.map((one) => one.text).join("");
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
  "`": "&#96;",
};

/** Also shows control characters and bidirectional overrides as what they are, so that no text lies by its looks. */
export function escapeHtml(text: string): string {
  return text
    .replace(/[&<>"'`]/g, (char) => ENTITIES[char] ?? "")
    .replace(
      // eslint-disable-next-line no-control-regex -- control characters are the subject here
      /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g,
      (char) => `\\u{${char.codePointAt(0)?.toString(16)}}`,
    );
}
