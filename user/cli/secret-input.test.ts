import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { Failure } from "./failure.ts";
import { readSecret } from "./secret-input.ts";

async function typed(
  pieces: readonly string[],
  tty: boolean,
): Promise<{ value: string; shown: string; raw: boolean[] }> {
  const raw: boolean[] = [];
  const stdin = Object.assign(new PassThrough(), { isTTY: tty, setRawMode: (on: boolean) => raw.push(on) });
  const stderr = new PassThrough();
  const reading = readSecret("value: ", { stdin, stderr });
  for (const piece of pieces) stdin.write(piece);
  if (!tty) stdin.end();
  const value = (await reading).toString();
  stderr.end();
  return { value, shown: (await stderr.toArray()).join(""), raw };
}

test("on a terminal the value is not shown, and echo comes back", async () => {
  const { value, shown, raw } = await typed(["sk-", "abc", "\r"], true);
  assert.equal(value, "sk-abc");
  assert.equal(shown, "value: \n");
  assert.deepEqual(raw, [true, false]);
});

test("backspace takes back one character, also of several bytes", async () => {
  assert.equal((await typed(["aé\u007f\u007fxy\bz\n"], true)).value, "xz");
});

test("Ctrl-C leaves nothing entered and turns echo on again", async () => {
  await assert.rejects(typed(["abc\u0003"], true), Failure);
});

test("from a pipe the whole input less one line end is the value", async () => {
  assert.equal((await typed(["two\nlines\r\n"], false)).value, "two\nlines");
  assert.equal((await typed([" spaces "], false)).value, " spaces ");
});

test("an endless pipe is refused", async () => {
  await assert.rejects(typed(["x".repeat(70_000)], false), /too long/);
});
