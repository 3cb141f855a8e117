import assert from "node:assert/strict";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  existsSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { spawnSync } from "node:child_process";
import { basename, dirname, join } from "node:path";
import { after, describe, it } from "node:test";
import { systemClock as clock } from "../../lib/clock.ts";
import { compileAgent } from "./rootfs-agent.ts";
import { ensureRootfs } from "./rootfs.ts";
import { compileScript, compiledOf, starterOf } from "./rootfs-script.ts";

const folder = mkdtempSync(join(tmpdir(), "cordon-rootfs-"));
after(() => rmSync(folder, { recursive: true, force: true }));

function tree(name: string, files: Readonly<Record<string, string>>): string {
  const root = join(folder, name);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

describe("the agent image", () => {
  it("holds what the entry imports at run time, with the types gone", async () => {
    const root = tree("good", {
      "agent/init/main.ts": `import type { Z } from "zod-user.ts";\nimport {\n  a,\n  type B,\n} from "../../lib/a.ts";\nimport "./side.ts";\nimport net from "node:net";\nconst x: B = a as Z;\nconst y = await import("./late.ts");\n`,
      "agent/init/side.ts": `export * from "../../protocol/p.ts";\n`,
      "agent/init/late.ts": "export {};\n",
      "agent/init/unused.ts": "export {};\n",
      "protocol/p.ts": `export const text = 'from "./never.ts"';\n`,
      "lib/a.ts": "export const a: number = 1; export type B = number;\n",
    });
    const files = await compileAgent(root, ["agent/init/main.ts"]);
    assert.deepEqual([...files.keys()].toSorted(), [
      "agent/init/late.js",
      "agent/init/main.js",
      "agent/init/side.js",
      "lib/a.js",
      "protocol/p.js",
    ]);
    const main = files.get("agent/init/main.js") ?? "";
    assert.match(main, /from "\.\.\/\.\.\/lib\/a\.js"/);
    assert.match(main, /import\("\.\/late\.js"\)/);
    assert.doesNotMatch(main, /zod|: B|\.ts"/);
  });

  for (const [what, source] of Object.entries({
    "a package": `import { z } from "zod";\n`,
    "the mesh": `import "../../mesh/vault/vault.ts";\n`,
    "a folder above the tree": `import "../../../../etc/x.ts";\n`,
    "a file that is not there": `import "./absent.ts";\n`,
    "an absolute path": `import "/etc/x.js";\n`,
  })) {
    it(`refuses an import of ${what}`, async () => {
      const root = tree(`bad-${what.replaceAll(" ", "-")}`, {
        "agent/init/main.ts": source,
        "mesh/vault/vault.ts": "export {};\n",
      });
      await assert.rejects(compileAgent(root, ["agent/init/main.ts"]), { name: "SandboxError" });
    });
  }
});

describe("the agent's script", () => {
  const body = `const { basename } = await $import("node:path"); console.log(twice(21), basename("/a/b"), process.argv[2]);`;
  const whole = `function twice(n) { const by = 2; return by * n; }\n(async ($import) => { ${body} })\n`;
  const made = tree("script", { "main.js": whole, "main.cjs": starterOf("opt/main.js") });
  const script = join(made, "main.js");
  const start = () => spawnSync(process.execPath, [join(made, "main.cjs"), "word"], { encoding: "utf8" });

  it("is started with what was compiled of it, which V8 takes", async () => {
    await compileScript(process.execPath, script, clock);
    assert.deepEqual([start().stdout, start().stderr], ["42 b word\n", ""]);
    const asks = `const { readFileSync } = require("node:fs"); const { Script } = require("node:vm");
      const filename = process.argv[1]; const cachedData = readFileSync(filename + ".compiled");
      const source = readFileSync(filename, "latin1");
      console.log(new Script(source, { filename, cachedData }).cachedDataRejected, new Script(source, { filename: filename.toUpperCase() }).createCachedData().length);`;
    const asked = spawnSync(process.execPath, ["--eval", asks, script], { encoding: "utf8" });
    const [rejected, outermostOnly] = asked.stdout.split(" ");
    assert.equal(rejected, "false");
    // The functions inside, too, so that none is compiled while an answer waits for it.
    assert.ok(statSync(compiledOf(script)).size > Number(outermostOnly));
  });

  it("runs without it, when another Node has compiled it", async () => {
    const foreign = readFileSync(compiledOf(script));
    foreign.fill(0, 4, 12);
    rmSync(compiledOf(script));
    writeFileSync(compiledOf(script), foreign);
    assert.deepEqual([start().stdout, start().stderr], ["42 b word\n", ""]);
  });

  it("that cannot be compiled is no root file system", async () => {
    const broken = join(tree("broken-script", { "main.js": "(async () => {\n" }), "main.js");
    await assert.rejects(compileScript(process.execPath, broken, clock), {
      name: "SandboxError",
      message: /SyntaxError/,
    });
  });
});

describe("the root file system", () => {
  it("is the same folder for two builders at once, closed to writing, and another one for another agent", async () => {
    const files = { "agent/init/main.ts": "export {};\n" };
    const options = {
      cacheDir: join(folder, "cache"),
      projectDir: tree("one", files),
      nodePath: process.execPath,
      clock,
    };
    const [a, b] = await Promise.all([ensureRootfs(options), ensureRootfs(options)]);
    assert.equal(a, b);
    assert.deepEqual(readdirSync(options.cacheDir).length, 1);
    const other = tree("two", { "agent/init/main.ts": "export const x = 1;\n" });
    const c = await ensureRootfs({ ...options, projectDir: other });
    assert.notEqual(a, c);
    assert.deepEqual(
      readdirSync(a).toSorted(),
      ["bin", "code", "data", "dev", "etc", "lib", "lib64", "opt", "proc", "run", "sys", "tmp"].filter(
        (n) => n !== "lib64" || readdirSync(a).includes(n),
      ),
    );
    assert.deepEqual(readdirSync(join(a, "bin")), ["node"]);
    assert.deepEqual(readdirSync(join(a, "etc")).toSorted(), ["group", "hosts", "nsswitch.conf", "passwd"]);
    assert.equal(statSync(join(a, "bin/node")).mode & 0o7777, 0o555);
    for (const file of ["main.js", "main.js.compiled", "main.cjs"])
      assert.equal(statSync(join(a, "opt/cordon/agent/init", file)).mode & 0o7777, 0o444);
    assert.equal(readFileSync(join(a, "opt/cordon/package.json"), "utf8"), '{"type":"module"}\n');
  });

  it("is built anew when a loss of power has cut a file of it short", async () => {
    const projectDir = tree("cut", { "agent/init/main.ts": "export {};\n" });
    const options = { cacheDir: join(folder, "cut-cache"), projectDir, nodePath: process.execPath, clock };
    const made = await ensureRootfs(options);
    for (const name of ["agent/init/main.js", "agent/init/main.js.compiled"]) {
      const file = join(made, "opt/cordon", name);
      const { size } = statSync(file);
      truncateSync(file, 0);
      assert.equal(await ensureRootfs(options), made);
      assert.equal(statSync(file).size, size, name);
    }
    writeFileSync(join(made, "marked"), "");
    await ensureRootfs(options);
    assert.ok(existsSync(join(made, "marked")), "one that is whole stays");
    assert.deepEqual(readdirSync(options.cacheDir), [basename(made)]);
  });

  it("is removed from the cache when nobody has used it for a day, and drafts of dead builders are", async () => {
    const cacheDir = join(folder, "old");
    const options = {
      cacheDir,
      projectDir: tree("three", { "agent/init/main.ts": "export {};\n" }),
      nodePath: process.execPath,
    };
    const [old, recent, draft] = [`rootfs-${"0".repeat(32)}`, `rootfs-${"1".repeat(32)}`, "building-999999999-x"];
    for (const name of [old, recent, draft]) mkdirSync(join(cacheDir, name, "inside"), { recursive: true });
    const nowMs = clock.nowMs();
    utimesSync(join(cacheDir, old), nowMs / 1000 - 90_000, nowMs / 1000 - 90_000);
    const made = await ensureRootfs({ ...options, clock });
    assert.deepEqual(readdirSync(cacheDir).toSorted(), [basename(made), recent].toSorted());
  });
});
