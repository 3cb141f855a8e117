/**
 * Takes the fence apart in a copy of this tree, one element at a time, and runs hostile code in the sandbox that is left: a
 * test must fail each time. `CORDON_FENCE_MUTATIONS=1 node --test test/attack/sandbox/fence-mutations.test.ts` prints the
 * table (some ten minutes, as root); another value is a part of the elements' names. Always: that the table is of this tree.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmodSync, cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { projectDir, skipUnlessRoot } from "../../contract/sandbox-fixture.ts";
import { type Mutation, mutations } from "./fence-mutations.ts";

const asked = process.env["CORDON_FENCE_MUTATIONS"];
const skip = skipUnlessRoot || (asked === undefined && "set CORDON_FENCE_MUTATIONS=1 to take the fence apart");
const COPIED = ["agent", "lib", "mesh", "protocol", "scripts", "test", "user", "package.json"];
/** Of one run of a test's file. */
const RUN_MS = 120_000;

describe("the table of the fence's elements", () => {
  for (const { element, edits, caught } of mutations)
    it(`is of this tree: ${element}`, () => {
      for (const { file, from, to } of edits) {
        assert.equal(readFileSync(join(projectDir, file), "utf8").split(from).length, 2, `once in ${file}: ${from}`);
        assert.notEqual(from, to);
      }
      assert.ok(existsSync(join(projectDir, caught.file)), caught.file);
    });
});

describe("a fence without one of its elements", { skip, timeout: 3_600_000 }, () => {
  let copy = "";
  const table: string[] = [];
  before(() => {
    copy = mkdtempSync(join(tmpdir(), "cordon-fence-"));
    // Some tests run it as an ordinary user.
    chmodSync(copy, 0o755);
    const filter = (from: string): boolean =>
      !/(^|\/)(node_modules|dist|\.cache)(\/|$)/.test(from.slice(projectDir.length));
    for (const name of COPIED) cpSync(join(projectDir, name), join(copy, name), { recursive: true, filter });
    // Both are only read: the image of the agents has its content for a name.
    for (const name of ["node_modules", ".cache"]) symlinkSync(join(projectDir, name), join(copy, name));
  });
  after(() => {
    console.log(table.join("\n"));
    if (copy !== "") rmSync(copy, { recursive: true, force: true });
  });

  /** Full names of the tests that failed, or what there was instead. */
  async function failed({
    file,
    name,
  }: Mutation["caught"]): Promise<{ readonly ran: number; readonly names: readonly string[] }> {
    const pattern = name.replaceAll(/[^\w ]/g, ".");
    const args = [
      "--test",
      "--test-reporter=tap",
      `--test-name-pattern=${pattern}`,
      "--test-force-exit",
      join(copy, file),
    ];
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const child = spawn(process.execPath, args, {
      cwd: copy,
      stdio: ["ignore", "pipe", "ignore"],
      timeout: RUN_MS,
      env,
    });
    let text = "";
    child.stdout.on("data", (piece: Buffer) => (text += piece.toString()));
    await new Promise((resolve) => child.once("close", resolve));
    const lines = [...text.matchAll(/^ *(ok|not ok) \d+ - (.*)$/gm)].filter(
      ([, , title = ""]) => !/# SKIP|\.test\.ts$/.test(title),
    );
    return { ran: lines.length, names: lines.filter(([, word]) => word === "not ok").map(([, , title = ""]) => title) };
  }

  const chosen = mutations.filter(({ element }) => asked === "1" || element.includes(asked ?? ""));
  for (const caught of new Map(chosen.map((each) => [JSON.stringify(each.caught), each.caught])).values())
    it(`passes whole: ${caught.name}`, async () => {
      const { ran, names } = await failed(caught);
      assert.ok(ran > 0, "no test has this name");
      assert.deepEqual(names, []);
    });

  for (const { element, edits, caught, path } of chosen)
    it(element, { skip: path !== undefined && !existsSync(path) && "this kernel has no such path" }, async () => {
      const whole = new Map(edits.map(({ file }) => [file, readFileSync(join(projectDir, file), "utf8")]));
      try {
        for (const { file, from, to } of edits)
          writeFileSync(
            join(copy, file),
            readFileSync(join(copy, file), "utf8").replace(from, () => to),
          );
        const { names } = await failed(caught);
        table.push(`| ${element} | ${names.length === 0 ? "SURVIVES" : names[0]} |`);
        assert.notDeepEqual(names, [], `nothing fails in ${caught.file}`);
      } finally {
        for (const [file, text] of whole) writeFileSync(join(copy, file), text);
      }
    });
});
