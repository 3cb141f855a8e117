/**
 * Reads TypeScript or JavaScript just far enough to tell code from comments, texts and regular expressions.
 * There is no compiler API to ask (TypeScript 7 has none), and house rules need no types.
 */
export interface Source {
  readonly path: string;
  readonly text: string;
  /** As long as `text`: comments and the insides of texts and regular expressions are blanks, line ends stay. */
  readonly code: string;
  readonly comments: readonly Piece[];
  /** Insides of quoted texts and of each literal part of a template. */
  readonly strings: readonly Piece[];
  /** Regular expressions without their slashes; flags stay in `code`. */
  readonly regexes: readonly Piece[];
}

export interface Piece {
  readonly at: number;
  readonly text: string;
}

/** After these a slash begins a regular expression; after anything else it divides. */
const BEFORE_REGEX =
  /(?:^|[=(,:;!&|?{}[+\-*%<>~^]|\b(?:return|typeof|case|in|of|do|else|void|delete|throw|yield|await))$/;

export function readSource(path: string, text: string): Source {
  const code = text.split("");
  const found = { comments: [] as Piece[], strings: [] as Piece[], regexes: [] as Piece[] };
  // Braces opened inside `${…}`, one count a template that is open.
  const templates: number[] = [];
  let significant = "";

  const take = (list: Piece[], from: number, to: number): number => {
    list.push({ at: from, text: text.slice(from, to) });
    for (let i = from; i < to; i++) if (code[i] !== "\n") code[i] = " ";
    return to;
  };
  const endOfTemplatePart = (from: number): number => {
    let i = from;
    while (i < text.length && text[i] !== "`" && !text.startsWith("${", i)) i += text[i] === "\\" ? 2 : 1;
    return Math.min(i, text.length);
  };
  /** Returns where reading goes on after the literal part that begins at `from`. */
  const readTemplatePart = (from: number): number => {
    const end = take(found.strings, from, endOfTemplatePart(from));
    if (text[end] !== "$") return end + 1;
    templates.push(0);
    significant = "{";
    return end + 2;
  };

  let i = 0;
  while (i < text.length) {
    const char = text[i] ?? "";
    if (text.startsWith("//", i) || (i === 0 && text.startsWith("#!"))) {
      const end = text.indexOf("\n", i);
      i = take(found.comments, i, end < 0 ? text.length : end);
    } else if (text.startsWith("/*", i)) {
      const end = text.indexOf("*/", i + 2);
      i = take(found.comments, i, end < 0 ? text.length : end + 2);
    } else if (char === '"' || char === "'") {
      i = take(found.strings, i + 1, endOfQuoted(text, i + 1, char)) + 1;
      significant = char;
    } else if (char === "`" || (char === "}" && templates.at(-1) === 0)) {
      if (char === "}") templates.pop();
      significant = "`";
      i = readTemplatePart(i + 1);
    } else if (char === "/" && BEFORE_REGEX.test(significant)) {
      i = take(found.regexes, i + 1, endOfRegex(text, i + 1)) + 1;
      significant = "/";
    } else {
      const depth = templates.length - 1;
      if (depth >= 0 && char === "{") templates[depth] = (templates[depth] ?? 0) + 1;
      if (depth >= 0 && char === "}") templates[depth] = (templates[depth] ?? 0) - 1;
      // A word is kept whole, so that `return /x/` and `total / 2` are told apart.
      if (/[\w$]/.test(char)) significant = /[\w$]/.test(text[i - 1] ?? "") ? significant + char : char;
      else if (char.trim() !== "") significant = char;
      i++;
    }
  }
  return { path, text, code: code.join(""), ...found };
}

function endOfQuoted(text: string, from: number, quote: string): number {
  let i = from;
  while (i < text.length && text[i] !== quote && text[i] !== "\n") i += text[i] === "\\" ? 2 : 1;
  return Math.min(i, text.length);
}

function endOfRegex(text: string, from: number): number {
  let inClass = false;
  let i = from;
  while (i < text.length && text[i] !== "\n" && (inClass || text[i] !== "/")) {
    if (text[i] === "[") inClass = true;
    if (text[i] === "]") inClass = false;
    i += text[i] === "\\" ? 2 : 1;
  }
  return Math.min(i, text.length);
}

/** The line of an offset, from 1. */
export const lineOf = (text: string, at: number): number => text.slice(0, at).split("\n").length;
