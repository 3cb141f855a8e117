/** Parses a regular expression as far as its cost needs: which characters, how often, in which order. */
export type Node =
  | { readonly kind: "set"; readonly set: bigint }
  | { readonly kind: "sequence"; readonly items: readonly Node[] }
  | { readonly kind: "choice"; readonly options: readonly Node[] }
  | { readonly kind: "repeat"; readonly body: Node; readonly min: number; readonly max: number }
  /** Takes no character: `^` (of the text or of a line), `$`, `\b`, look-around. */
  | { readonly kind: "edge"; readonly anchor: "text" | "line" | "none"; readonly body: Node | undefined }
  | { readonly kind: "backreference" };

/** One bit a character of ASCII, one for all white space beyond, one for everything else. */
export const ALL = (1n << 130n) - 1n;
const OTHERS = 1n << 128n;
const WIDE_SPACE = 1n << 129n;
const bit = (code: number): bigint => {
  if (code < 128) return 1n << BigInt(code);
  return /\s/.test(String.fromCodePoint(code)) ? WIDE_SPACE : OTHERS;
};
export const NEW_LINE = bit(10);
const span = (from: number, to: number): bigint => {
  let set = to > 127 ? OTHERS | WIDE_SPACE : 0n;
  for (let code = from; code <= Math.min(to, 127); code++) set |= bit(code);
  return set;
};
const DIGITS = span(48, 57);
const WORD = DIGITS | span(65, 90) | span(97, 122) | bit(95);
const SPACE = span(9, 13) | bit(32) | WIDE_SPACE;
const CLASSES: Readonly<Record<string, bigint>> = {
  d: DIGITS,
  D: ALL & ~DIGITS,
  w: WORD,
  W: ALL & ~WORD,
  s: SPACE,
  S: ALL & ~SPACE,
};
const CONTROLS: Readonly<Record<string, number>> = { n: 10, r: 13, t: 9, v: 11, f: 12, 0: 0 };

export function parseRegex(pattern: string, flags: string): Node {
  let i = 0;
  const foldCase = flags.includes("i");
  const fold = (set: bigint): bigint => {
    if (!foldCase) return set;
    const upper = set & span(65, 90);
    const lower = set & span(97, 122);
    return set | (upper << 32n) | (lower >> 32n);
  };

  const choice = (): Node => {
    const options = [sequence()];
    while (pattern[i] === "|") {
      i++;
      options.push(sequence());
    }
    return options.length === 1 && options[0] ? options[0] : { kind: "choice", options };
  };
  const sequence = (): Node => {
    const items: Node[] = [];
    while (i < pattern.length && pattern[i] !== "|" && pattern[i] !== ")") {
      const item = quantified(atom());
      // A group without a quantifier is a part of the sequence that it stands in.
      items.push(...(item.kind === "sequence" ? item.items : [item]));
    }
    return { kind: "sequence", items };
  };
  const quantified = (body: Node): Node => {
    const match = /^(?:([*+?])|\{(\d+)(?:(,)(\d*))?\})\??/.exec(pattern.slice(i, i + 24));
    if (!match) return body;
    i += match[0].length;
    const min = match[1] ? (match[1] === "+" ? 1 : 0) : Number(match[2]);
    const open = match[1] ? (match[1] === "?" ? 1 : Infinity) : match[4] ? Number(match[4]) : match[3] ? Infinity : min;
    return { kind: "repeat", body, min, max: open };
  };
  const atom = (): Node => {
    const char = pattern[i++] ?? "";
    if (char === "(") return group();
    if (char === "[") return { kind: "set", set: fold(charClass()) };
    if (char === ".") return { kind: "set", set: flags.includes("s") ? ALL : ALL & ~(NEW_LINE | bit(13)) };
    if (char === "^") return { kind: "edge", anchor: flags.includes("m") ? "line" : "text", body: undefined };
    if (char === "$") return { kind: "edge", anchor: "none", body: undefined };
    if (char !== "\\") return { kind: "set", set: fold(bit(pattern.codePointAt(i - 1) ?? 0)) };
    if (/[bB]/.test(pattern[i] ?? "")) {
      i++;
      return { kind: "edge", anchor: "none", body: undefined };
    }
    if (/[1-9]/.test(pattern[i] ?? "") || pattern.startsWith("k<", i)) {
      i++;
      return { kind: "backreference" };
    }
    return { kind: "set", set: fold(escape().set) };
  };
  const group = (): Node => {
    const opening = /^\?(?:[:=!]|<[=!]|<\w+>|[a-z-]+:)/.exec(pattern.slice(i, i + 48))?.[0] ?? "";
    i += opening.length;
    const body = choice();
    i++;
    return /^\?<?[=!]/.test(opening) ? { kind: "edge", anchor: "none", body } : body;
  };
  /** Just after a backslash. `code` is set when it names one character. */
  const escape = (): { readonly set: bigint; readonly code: number | undefined } => {
    const rest = pattern.slice(i, i + 48);
    const coded = /^(?:x([0-9a-f]{2})|u([0-9a-f]{4})|u\{([0-9a-f]+)\})/i.exec(rest);
    const property = /^[pP]\{[^}]*\}/.exec(rest);
    const char = rest[0] ?? "";
    i += coded?.[0].length ?? property?.[0].length ?? 1;
    if (property) return { set: ALL, code: undefined };
    const known = CLASSES[char];
    if (!coded && known !== undefined) return { set: known, code: undefined };
    const code = coded
      ? Number.parseInt(coded[1] ?? coded[2] ?? coded[3] ?? "", 16)
      : (CONTROLS[char] ?? char.charCodeAt(0));
    return { set: bit(code), code };
  };
  const member = (): { readonly set: bigint; readonly code: number | undefined } => {
    if (pattern[i] === "\\") {
      i++;
      return escape();
    }
    const code = pattern.codePointAt(i) ?? 0;
    i += code > 0xffff ? 2 : 1;
    return { set: bit(code), code };
  };
  const charClass = (): bigint => {
    const negated = pattern[i] === "^";
    if (negated) i++;
    let set = 0n;
    while (i < pattern.length && pattern[i] !== "]") {
      const first = member();
      if (pattern[i] === "-" && pattern[i + 1] !== "]" && first.code !== undefined) {
        i++;
        set |= span(first.code, member().code ?? 0x10ffff);
      } else set |= first.set;
    }
    i++;
    return negated ? (ALL & ~set) | OTHERS : set;
  };
  return choice();
}
