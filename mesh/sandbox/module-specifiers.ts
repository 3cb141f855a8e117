/**
 * Finds the module specifiers of a JavaScript module and replaces each: `import "x"`, `import … from "x"` and
 * `export … from "x"` that start a line (as the formatter leaves them), and `import("x")`. One pass each, by hand.
 */
export function mapSpecifiers(source: string, map: (specifier: string) => string): string {
  let out = "";
  let done = 0;
  for (const [start, end] of spansOf(source)) {
    out += source.slice(done, start) + map(source.slice(start, end));
    done = end;
  }
  return out + source.slice(done);
}

type Span = readonly [start: number, end: number];

function spansOf(source: string): readonly Span[] {
  const found: Span[] = [];
  for (let line = 0; line >= 0 && line < source.length; line = nextLine(source, line)) {
    const start = skip(source, line, " \t");
    if (!source.startsWith("import", start) && !source.startsWith("export", start)) continue;
    const quote = firstOf(source, start, `"'();=`);
    const lead = source.slice(start, quote).trimEnd();
    const names = lead === "import" || lead.endsWith("from");
    if (names) pushQuoted(source, quote, found);
  }
  for (let at = source.indexOf(DYNAMIC); at >= 0; at = source.indexOf(DYNAMIC, at + 1)) {
    if (!/[\w$.]/.test(source[at - 1] ?? " ")) pushQuoted(source, skip(source, at + DYNAMIC.length, " \t\n"), found);
  }
  return found.toSorted((a, b) => a[0] - b[0]);
}

const DYNAMIC = "import(";

const nextLine = (source: string, from: number): number => {
  const end = source.indexOf("\n", from);
  return end < 0 ? -1 : end + 1;
};

function skip(source: string, from: number, characters: string): number {
  let at = from;
  while (at < source.length && characters.includes(source[at] ?? "")) at++;
  return at;
}

function firstOf(source: string, from: number, characters: string): number {
  let at = from;
  while (at < source.length && !characters.includes(source[at] ?? "")) at++;
  return at;
}

function pushQuoted(source: string, at: number, found: Span[]): void {
  const quote = source[at];
  if (quote !== '"' && quote !== "'") return;
  const end = source.indexOf(quote, at + 1);
  if (end > at + 1 && !source.slice(at, end).includes("\n")) found.push([at + 1, end]);
}
