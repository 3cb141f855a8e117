import { posix } from "node:path";
import type { Source } from "./source.ts";

export interface Import {
  readonly at: number;
  /** As written: `../lib/clock.ts`, `node:net`, `zod`. */
  readonly specifier: string;
  /** Erased by type stripping: `import type …` or `export type … from`. */
  readonly typeOnly: boolean;
  /** Names taken by value from the module; `default` and `*` for the whole of it. */
  readonly names: readonly string[];
}

/** Static imports and re-exports, side-effect imports, `import(…)` and `new URL(…, import.meta.url)` of modules. */
const STATEMENT = /\b(import|export)\s+(type\s)?((?:[\w$*\s,]|\{[^}]*\})*?)\s*\bfrom\s*["']/g;
const SIDE_EFFECT = /\bimport\s*["']/g;
const DYNAMIC = /\b(?:import|require)\s*\(\s*["'`]|\bnew\s+URL\s*\(\s*["']/g;

export function importsOf(source: Source): readonly Import[] {
  const found: Import[] = [];
  const add = (match: RegExpExecArray, typeOnly: boolean, names: readonly string[]): void => {
    const at = match.index + match[0].length;
    const specifier = source.strings.find((piece) => piece.at === at)?.text;
    if (specifier !== undefined) found.push({ at, specifier, typeOnly, names });
  };
  for (const match of source.code.matchAll(STATEMENT)) add(match, match[2] !== undefined, namesOf(match[3] ?? ""));
  for (const match of source.code.matchAll(SIDE_EFFECT)) add(match, false, []);
  for (const match of source.code.matchAll(DYNAMIC)) {
    const isUrl = match[0].startsWith("new");
    const at = match.index + match[0].length;
    const text = source.strings.find((piece) => piece.at === at)?.text ?? "";
    // A URL counts when it names a module of ours: that is how a worker is loaded.
    if (!isUrl || /^\.{1,2}\/.*\.[cm]?[jt]s$/.test(text)) add(match, false, ["*"]);
  }
  return found;
}

/** `net, { type Socket, createServer as listen }` gives `default`, `createServer`. */
function namesOf(clause: string): readonly string[] {
  const names: string[] = [];
  const braces = /\{([^}]*)\}/.exec(clause);
  for (const part of (braces?.[1] ?? "").split(",")) {
    const words = part.trim().split(/\s+/);
    if (words[0] !== "" && words[0] !== "type") names.push(words[0] ?? "");
  }
  const outside = clause.replace(/\{[^}]*\}/, "");
  if (outside.includes("*")) names.push("*");
  else if (/[\w$]/.test(outside)) names.push("default");
  return names;
}

/** The project path that a relative import names, or undefined for a package or a module of Node. */
export function resolveImport(from: string, specifier: string): string | undefined {
  return specifier.startsWith(".") ? posix.normalize(posix.join(posix.dirname(from), specifier)) : undefined;
}
