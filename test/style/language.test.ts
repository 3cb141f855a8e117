/** What the language offers and this project does without. The linter holds part of it; it can be switched off in a line. */
import { guard } from "./guard.ts";
import { lineOf, readSource, type Source } from "./source.ts";
import { readSources, typeScriptFiles } from "./tree.ts";

interface Ban {
  readonly what: string;
  readonly fix: string;
  readonly code?: RegExp;
  readonly comment?: RegExp;
  readonly sabotage: readonly string[];
  readonly harmless: readonly string[];
}

// Split, so that this file does not hold the marks that it looks for.
const TO_DO = ["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"];

const bans: readonly Ban[] = [
  {
    what: "`enum`, `namespace` or a decorator",
    fix: "does not run under type stripping: use a const object or a union",
    code: /(?:^|[\n;{}])\s*(?:export\s+)?(?:declare\s+)?(?:const\s+)?(?:enum\s+\w|namespace\s+\w+\s*\{)|(?:^|\n)\s*@\w/g,
    sabotage: ["export enum A { B }", "const enum A { B }", "namespace A { }", "\n@sealed\nclass A {}"],
    harmless: ["const enumerate = 1;", "z.enum(levels);", "/** @deprecated use b */"],
  },
  {
    what: "`any`",
    fix: "use `unknown` and look before you use it",
    code: /(?::|\bas|<|,|\||&|=>|\bsatisfies)\s*(?:readonly\s+)?any\b(?!\s*[(:=.])/g,
    sabotage: ["let a: any;", "f(a as any);", "new Map<string, any>();", "type A = B | any[];"],
    harmless: ["Promise.any(a);", "const a = { any: 1 };", "// any"],
  },
  {
    what: "a compiler check switched off",
    fix: "mend the type",
    comment: /@ts-(?:ignore|nocheck)|@ts-expect-error\s*(?:$|\n)/,
    sabotage: ["// @ts-" + "ignore", "// @ts-" + "nocheck", "// @ts-" + "expect-error"],
    harmless: ["// @ts-expect-error -- the type must refuse a number"],
  },
  {
    what: "a lint rule switched off without a reason",
    fix: "name the rule and, after `--`, the reason",
    comment:
      /(?:eslint|oxlint)-disable(?!-(?:next-)?line\s+[\w/-]+(?:,\s*[\w/-]+)*\s+--\s+\S)(?!\s+[\w/-]+(?:,\s*[\w/-]+)*\s+--\s+\S)/,
    sabotage: ["// eslint-disable-next-line", "/* oxlint-disable */", "// oxlint-disable-line no-console"],
    harmless: ["// oxlint-disable-next-line no-control-regex -- control characters are the subject"],
  },
  {
    what: "unfinished work marked in a comment",
    fix: "finish it, or open an issue",
    comment: new RegExp(`\\b(?:${TO_DO.join("|")})\\b`),
    sabotage: TO_DO.map((mark) => `// ${mark}: later`),
    harmless: ["// to do this, hold the lock"],
  },
  {
    what: "a test that runs alone, or is skipped without a reason",
    fix: "remove `only`; give `skip` a text that says why",
    code: /\b(?:test|it|describe|suite)\s*\.\s*(?:only|skip|todo)\b|\b(?:only|todo|skip)\s*:\s*true\b|\.\s*skip\s*\(\s*\)/g,
    sabotage: ["test.only(a, b);", "it.skip(a, b);", "test(a, { skip: true }, b);", "t.skip();", "describe.todo(a);"],
    harmless: ['test("a", { skip: root ? false : "needs root" }, b);', 't.skip("needs root");'],
  },
];

function banFaults(ban: Ban, source: Source): readonly string[] {
  const hits = [...(ban.code ? source.code.matchAll(ban.code) : [])].map((match) => match.index);
  for (const comment of source.comments) if (ban.comment?.test(comment.text)) hits.push(comment.at);
  return hits.map((at) => `${source.path}:${lineOf(source.text, at + 1)}: ${ban.what}: ${ban.fix}`);
}

const sources = readSources(typeScriptFiles);
for (const ban of bans) {
  const sample = (text: string): Source => readSource("mesh/sample.ts", text);
  guard({
    name: `nowhere ${ban.what}`,
    over: sources,
    faults: (source) => banFaults(ban, source),
    sabotage: ban.sabotage.map(sample),
    harmless: ban.harmless.map(sample),
  });
}
