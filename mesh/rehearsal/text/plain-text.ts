/** A text without its Markdown: what it is called, and its paragraphs as running prose. */
export interface PlainText {
  /** From the front matter or the first heading, else a short first line; null when the text names itself nowhere. */
  readonly title: string | null;
  readonly paragraphs: readonly string[];
}

const TITLE_CHARS_MAX = 120;

/** One pass over the lines; every expression below is linear in the length of its line. */
export function plainText(text: string): PlainText {
  const lines = text.replace(/^\ufeff/, "").split(/\r\n|\r|\n/);
  const front = frontMatter(lines);
  let title = front.title;
  const paragraphs: string[] = [];
  let open: string[] = [];
  const close = (): void => {
    if (open.length > 0) paragraphs.push(open.join(" "));
    open = [];
  };
  let fenced = false;
  for (const raw of lines.slice(front.lines)) {
    const line = raw.trim();
    const fence = line.startsWith("```") || line.startsWith("~~~");
    if (fence) fenced = !fenced;
    const heading = /^#{1,6}\s/.test(line);
    // Underlined headings, rules and table borders carry no prose.
    const ruler = line === "" || /^[-=*_|: ]+$/.test(line);
    if (fence || heading || ruler) close();
    if (heading) title ??= inline(line.replace(/^#+\s*/, ""));
    if (fence || fenced || heading || ruler) continue;
    const item = /^(?:[-*+]|\d{1,3}[.)])\s/.test(line);
    if (item) close();
    open.push(inline(line.replace(/^(?:>\s?|[-*+]\s|\d{1,3}[.)]\s)/, "")));
  }
  close();
  const first = paragraphs[0];
  if (title === null && first !== undefined && isTitle(first)) {
    title = first;
    paragraphs.shift();
  }
  return { title: title === "" ? null : title, paragraphs: paragraphs.filter((paragraph) => paragraph !== "") };
}

function frontMatter(lines: readonly string[]): { readonly title: string | null; readonly lines: number } {
  if (lines[0]?.trim() !== "---") return { title: null, lines: 0 };
  const end = lines.findIndex((line, i) => i > 0 && line.trim() === "---");
  if (end < 0) return { title: null, lines: 0 };
  const title = lines.slice(1, end).find((line) => line.startsWith("title:"));
  return {
    title:
      title
        ?.slice("title:".length)
        .trim()
        .replace(/^["']|["']$/g, "") ?? null,
    lines: end + 1,
  };
}

/** A line of its own that does not end like a sentence. */
function isTitle(line: string): boolean {
  return line.length <= TITLE_CHARS_MAX && !/[.!?:;,…。！？]["'”’)]?$/u.test(line);
}

/** Links become their text; emphasis and code marks go. */
function inline(line: string): string {
  return line
    .replace(/!?\[([^[\]]{0,300})\]\([^()]{0,600}\)/g, "$1")
    .replace(/[*`]|(?<![\p{L}\p{N}])_|_(?![\p{L}\p{N}])/gu, "")
    .replace(/\s+/g, " ")
    .trim();
}
