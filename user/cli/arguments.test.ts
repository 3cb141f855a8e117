import assert from "node:assert/strict";
import { test } from "node:test";
import { readArguments } from "./arguments.ts";
import type { Command } from "./command.ts";
import { Failure } from "./failure.ts";

const command: Command = {
  name: "sample",
  summary: "",
  usage: "NAME",
  options: {
    lines: { value: "N", short: "n", help: "" },
    follow: { short: "f", help: "" },
    state: { value: "DIR", help: "" },
  },
  words: [1, 2],
  trailing: true,
  run: () => Promise.resolve(0),
};

function refused(argv: readonly string[]): Failure {
  try {
    readArguments(command, argv);
  } catch (error) {
    assert.ok(error instanceof Failure);
    assert.equal(error.exitCode, 2);
    return error;
  }
  return assert.fail("the command line was accepted");
}

test("words, options in every form and trailing words are told apart", () => {
  const input = readArguments(command, ["a", "-n", "5", "--state=x y", "-f", "b", "--", "--lines", "-z"]);
  assert.deepEqual(input.words, ["a", "b"]);
  assert.deepEqual(input.trailing, ["--lines", "-z"]);
  assert.equal(input.text("lines"), "5");
  assert.equal(input.text("state"), "x y");
  assert.equal(input.flag("follow"), true);
});

test("an unknown option is refused and the nearest one named", () => {
  const failure = refused(["a", "--sttae", "x"]);
  assert.match(failure.message, /no option `--sttae`/);
  assert.match(failure.fix, /did you mean `--state`/);
});

test("an unknown option far from all others points to the help", () => {
  assert.match(refused(["a", "--zzzzzzzzzz"]).fix, /cordon sample --help/);
});

test("names of Object.prototype are no options", () => {
  assert.match(refused(["a", "--constructor"]).message, /no option/);
  assert.match(refused(["a", "--__proto__"]).message, /no option/);
});

test("an option without its value, with a value too many, or given twice is refused", () => {
  assert.match(refused(["a", "--lines"]).message, /needs a value: N/);
  assert.match(refused(["a", "--follow=yes"]).message, /takes no value/);
  assert.match(refused(["a", "-n", "1", "-n", "2"]).message, /given twice/);
});

test("too few and too many words are refused with the usage", () => {
  assert.match(refused([]).fix, /usage: cordon sample NAME/);
  assert.match(refused(["a", "b", "c"]).message, /`c`/);
});

test("help is given whatever words are missing", () => {
  assert.equal(readArguments(command, ["--help"]).flag("help"), true);
});

test("numbers are whole and within bounds", () => {
  const count = (text: string): number => readArguments(command, ["a", "-n", text]).count("lines", 7, 1, 10);
  assert.equal(count("10"), 10);
  assert.equal(readArguments(command, ["a"]).count("lines", 7, 1, 10), 7);
  for (const wrong of ["0", "11", "1.5", "x", "0x1", "1e1", "９"]) assert.throws(() => count(wrong), Failure);
});
