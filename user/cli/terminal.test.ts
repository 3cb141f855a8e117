import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import fc from "fast-check";
import { renderTable } from "./table.ts";
import { partsOf, tint } from "./line.ts";
import { openTerminal, type Terminal } from "./terminal.ts";

function capture(
  act: (terminal: Terminal) => void,
  options: { tty?: boolean; colour?: boolean; columns?: number } = {},
): { out: string; err: string } {
  const stream = () =>
    Object.assign(new PassThrough(), { isTTY: options.tty === true, columns: options.columns ?? 80 });
  const [stdout, stderr] = [stream(), stream()];
  act(openTerminal({ stdout, stderr, colour: options.colour ?? true }));
  return { out: written(stdout), err: written(stderr) };
}

/** One `read` gives one chunk only. */
function written(stream: PassThrough): string {
  let text = "";
  for (let chunk = stream.read() as Buffer | null; chunk !== null; chunk = stream.read() as Buffer | null)
    text += chunk.toString();
  return text;
}

// oxlint-disable-next-line no-control-regex -- control characters are the subject here
const STEERING = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/;

test("no text steers the terminal, whatever it holds and wherever it is printed", () => {
  const hostile = fc.string({
    unit: fc.constantFrom("\u001b", "[2J", "\u009b", "\u0007", "\r", "\u202e", "a", "\n", "é"),
  });
  fc.assert(
    fc.property(hostile, (text) => {
      const { out, err } = capture((terminal) => {
        terminal.print([text, tint("bad", text)]);
        terminal.note(text);
        terminal.live(text);
        terminal.table([text], [[text, tint("good", text)]]);
        terminal.json({ [text]: text });
      });
      assert.ok(out.split("\n").length > 5);
      assert.doesNotMatch(out, STEERING);
      assert.doesNotMatch(err, STEERING);
    }),
    { seed: 20261122, numRuns: 300 },
  );
});

test("colours only on a terminal, and not when they are unwanted", () => {
  const line = (terminal: Terminal): void => terminal.print(tint("good", "yes"));
  assert.equal(capture(line, { tty: true }).out, "\u001b[32myes\u001b[0m\n");
  assert.equal(capture(line, { tty: false }).out, "yes\n");
  assert.equal(capture(line, { tty: true, colour: false }).out, "yes\n");
});

test("a live line is shown on a terminal only, never wraps, and is taken away by the next line", () => {
  const act = (terminal: Terminal): void => {
    terminal.live("0123456789\nabcdef");
    terminal.note("done");
  };
  assert.equal(capture(act, { tty: true, colour: false, columns: 13 }).err, "0123456789 a\r\u001b[2Kdone\n");
  assert.equal(capture(act).err, "done\n");
});

test("JSON stays the same value when it is made safe to look at", () => {
  const value = { a: "\u009b\u202e\u001b\u2028\u{e0041}\\u{41}", b: ["é", "𝒳", "é\\u{e9}"] };
  const { out } = capture((terminal) => terminal.json(value));
  assert.deepEqual(JSON.parse(out), value);
  assert.doesNotMatch(out, /[\u2028\u{e0041}]/u);
});

test("a table fits its width by wrapping and loses no word", () => {
  const words = "the quick brown fox jumps over the lazy dog and goes home";
  const lines = renderTable(
    [
      ["id", words, "end"],
      ["x", "y", "z"],
    ],
    40,
  ).map((line) =>
    partsOf(line)
      .map((part) => (typeof part === "object" ? part.text : String(part)))
      .join(""),
  );
  for (const line of lines) assert.ok(line.trimEnd().length <= 40, line);
  const shown = lines.join(" ").split(/\s+/);
  for (const word of words.split(" ")) assert.ok(shown.includes(word), word);
});
