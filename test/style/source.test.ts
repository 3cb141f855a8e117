import assert from "node:assert/strict";
import { test } from "node:test";
import { importsOf, resolveImport } from "./imports.ts";
import { readSource } from "./source.ts";

const texts = (pieces: readonly { readonly text: string }[]): string[] => pieces.map((piece) => piece.text);

test("code, comments, texts and regular expressions are told apart", () => {
  const source = readSource(
    "a.ts",
    [
      "const a = 'it\\'s // no comment'; // a comment",
      '/* let b */ const c = /[/"]+x/g.test(a) ? total / 2 / 3 : `one ${ f({ d: `in ${e}` }) } two`;',
      "return /y'/; const g = list[0] / 2; // 'end",
    ].join("\n"),
  );
  assert.deepEqual(texts(source.strings), ["it\\'s // no comment", "one ", "in ", "", " two"]);
  assert.deepEqual(texts(source.comments), ["// a comment", "/* let b */", "// 'end"]);
  assert.deepEqual(texts(source.regexes), ['[/"]+x', "y'"]);
  assert.equal(source.code.length, source.text.length);
  assert.match(source.code, /total \/ 2 \/ 3/);
  assert.match(source.code, /f\(\{ d: ` {3}\$\{e\}` \}\)/);
});

test("imports of every form are found", () => {
  const source = readSource(
    "mesh/door/a.ts",
    [
      'import { a as b, type C } from "../x.ts";',
      'import type { D } from "../d.ts";',
      'import * as e from "node:net";',
      "import f, { g } from 'node:http';",
      'import "../effect.ts";',
      'export { h } from "../h.ts";',
      'export type { I } from "../i.ts";',
      'const j = await import("../j.ts");',
      'const k = new Worker(new URL("./k.ts", import.meta.url));',
      '// import { l } from "../l.ts";',
      "const m = 'import { n } from \"../n.ts\"';",
      'const o = new URL("./page.html", import.meta.url);',
      "import {",
      "  p,",
      '} from "./p.ts";',
    ].join("\n"),
  );
  assert.deepEqual(
    importsOf(source).map(({ specifier, typeOnly, names }) => [specifier, typeOnly, names.join(" ")]),
    [
      ["../x.ts", false, "a"],
      ["../d.ts", true, "D"],
      ["node:net", false, "*"],
      ["node:http", false, "g default"],
      ["../h.ts", false, "h"],
      ["../i.ts", true, "I"],
      ["./p.ts", false, "p"],
      ["../effect.ts", false, ""],
      ["../j.ts", false, "*"],
      ["./k.ts", false, "*"],
    ],
  );
  assert.equal(resolveImport("mesh/door/a.ts", "./../../lib/clock.ts"), "lib/clock.ts");
  assert.equal(resolveImport("mesh/door/a.ts", "zod"), undefined);
});
