import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { runInThisContext } from "node:vm";
import { linkModules, linkScript } from "./rootfs-link.ts";

const folder = mkdtempSync(join(tmpdir(), "cordon-link-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const files = new Map(
  Object.entries({
    "init/main.js": `import {
  shout as say,
} from "../lib/say.js";
import { count } from "../lib/count.js";
import { basename } from "node:path";
say(\`main \${basename("/a/b")} \${count()}\`);
if (process.argv[2] === "late") {
  const [{ late }, { waiter }] = await Promise.all([import("./late.js"), import("../other/waits.js")]);
  say(await late() + waiter);
}
`,
    "init/late.js": `import { count } from "../lib/count.js";
export async function late() { return "late " + count(); }
`,
    "lib/say.js": `export const shout = (text) => console.log(text.toUpperCase());\nshout("say is loaded");\n`,
    "lib/count.js": `let n = 0;\nexport function count() { return ++n; }\nexport class Unused {}\n`,
    "other/waits.js": `import { word } from "./word.js";\nexport const waiter = await Promise.resolve(word);\n`,
    "other/word.js": `export const word = " waited";\n`,
  }),
);

function run(all: ReadonlyMap<string, string>, ...args: readonly string[]): readonly string[] {
  for (const [path, text] of [...all, ["package.json", '{"type":"module"}'] as const]) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  const done = spawnSync(process.execPath, [join(folder, "init/main.js"), ...args], { encoding: "utf8" });
  assert.equal(done.stderr, "");
  return done.stdout.trim().split("\n");
}

test("one file says what the many say, and a module is run once, when it is first asked for", () => {
  const linked = new Map(files).set("init/main.js", linkModules(files, "init/main.js"));
  for (const word of ["early", "late"]) assert.deepEqual(run(linked, word), run(files, word));
  assert.deepEqual(run(linked, "late"), ["SAY IS LOADED", "MAIN B 1", "LATE 2 WAITED"]);
  // What the one file holds it does not look for; what awaits as it is loaded stays outside.
  for (const path of ["lib/say.js", "lib/count.js", "init/late.js"]) linked.set(path, "throw new Error('looked for')");
  assert.deepEqual(run(linked, "late"), ["SAY IS LOADED", "MAIN B 1", "LATE 2 WAITED"]);
  assert.match(linked.get("init/main.js") ?? "", /import\("\.\/\.\.\/other\/waits\.js"\)/);
});

test("as a script it runs when it is called, strict, and imports by what it is given; every text is as it was", async () => {
  const told: unknown[] = [];
  Object.assign(globalThis, { tellLinkTest: (value: unknown) => told.push(value) });
  const odd = "ä – 𝒳";
  const script = linkScript(
    new Map([
      [
        "init/main.js",
        `import { word } from "../lib/word.js";\n// ${odd}\nconst { waiter } = await import("./waits.js");\ntellLinkTest([word, /^ä – 𝒳$/u.test(word), \`${odd}\`, waiter, (function () { return this; })()]);\n`,
      ],
      ["init/waits.js", "export const waiter = await 1;\n"],
      ["lib/word.js", `export const word = "${odd}";\n`],
    ]),
    "init/main.js",
  );
  assert.doesNotMatch(script, /[^\x00-\x7f]/);
  const started = runInThisContext(script) as (load: (path: string) => Promise<object>) => Promise<void>;
  assert.deepEqual(told, [], "nothing of it has run");
  const asked: string[] = [];
  await started(async (path) => {
    asked.push(path);
    return { waiter: "waited" };
  });
  assert.deepEqual(asked, ["./waits.js"]);
  assert.deepEqual(told, [[odd, true, odd, "waited", undefined]]);
});

const unknown = /`bad\.js` cannot be linked/;
for (const [what, [text, why]] of Object.entries({
  "a default export": ["export default 1;\n", unknown],
  "a list of exports": ["const a = 1;\nexport { a };\n", unknown],
  "a variable that others would see change": ["export let a = 1;\n", unknown],
  "a re-export": [`export * from "./b.js";\n`, unknown],
  "an import for its effect only": [`import "./b.js";\n`, unknown],
  "a default import": [`import b from "./b.js";\n`, unknown],
  "a module that is not there": [`import { a } from "./absent.js";\n`, /not in the agent image/],
  "an import of one that awaits as it is loaded": [`import { a } from "./waits.js";\n`, /awaits as it is loaded/],
} as const)) {
  test(`refuses ${what}`, () => {
    const bad = new Map([
      ["main.js", `import { a } from "./bad.js";\n`],
      ["bad.js", text],
      ["b.js", "export const a = 1;\n"],
      ["waits.js", "export const a = await 1;\n"],
    ]);
    assert.throws(() => linkModules(bad, "main.js"), { name: "SandboxError", message: why });
  });
}
