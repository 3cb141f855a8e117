import assert from "node:assert/strict";
import { test } from "node:test";
import { guard } from "./guard.ts";
import { regexFaults } from "./regex-cost.ts";
import { lineOf, readSource, type Source } from "./source.ts";
import { production } from "./tree.ts";

/** `// regex-cost: REASON` on the line before, where the text read is known to be short. */
const isWaived = (source: Source, line: number): boolean =>
  source.comments.some(
    (comment) => /regex-cost: \S/.test(comment.text) && lineOf(source.text, comment.at) === line - 1,
  );

function sourceFaults(source: Source): readonly string[] {
  const faults = source.regexes.flatMap(({ at, text }) => {
    const flags = /^\/([a-z]*)/.exec(source.text.slice(at + text.length, at + text.length + 10))?.[1] ?? "";
    const line = lineOf(source.text, at);
    if (isWaived(source, line)) return [];
    return regexFaults(text, flags).map((fault) => `${source.path}:${line}: /${text}/${flags} has ${fault}`);
  });
  const made = [...source.code.matchAll(/(?<![.\w])(?:new\s+)?RegExp\s*\(/g)].map(({ index }) =>
    lineOf(source.text, index),
  );
  return [
    ...faults,
    ...made
      .filter((line) => !isWaived(source, line))
      .map((line) => `${source.path}:${line}: makes a regular expression from text: write it out, or match by hand`),
  ];
}

guard<Source>({
  name: "regular expressions take linear time",
  over: production.filter((source) => source.regexes.length > 0),
  faults: sourceFaults,
  sabotage: [
    "/^(a+)+$/.test(x)",
    "/^([a-z]*;[a-z]*)*$/.test(x)",
    "/^(a|a)*$/.test(x)",
    "/^(?:\\w|\\d)+$/.test(x)",
    "/^(\\w+\\s?)*$/.test(x)",
    "/^(.*)=(.*)$/s.test(x)",
    "/^\\s*\\s*x/.test(x)",
    "/(['\"])x\\1/.test(x)",
    "/\\s+$/.test(x)",
    "/<[^>]*>/.test(x)",
    "/^([\\w.-]+)+@/.test(x)",
    "/^[a-z]+[A-Z]+$/i.test(x)",
    "new RegExp(x)",
  ].map((text) => readSource("mesh/a.ts", text)),
  harmless: [
    "/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(x)",
    "/^(\\d{1,15})(?:\\.(\\d{1,6}))?([A-Za-z]{0,3})$/.test(x)",
    "/^[^=]*=.*$/.test(x)",
    "/[\\u0000-\\u001f]/g.test(x)",
    "/^(?:GET|POST) \\/[a-z]+$/.test(x)",
    "/a\\s+$/.test(x)",
    "/^fix: (.+)$/m.test(x)",
    "/\\0.*$/s.test(x)",
    "/\\S+\\s*/g.test(x)",
    "// regex-cost: at most forty characters come here\n/\\s+$/.test(x)",
    "const a = b / c / d;",
  ].map((text) => readSource("mesh/a.ts", text)),
});

test("what the rule complains of is slow, and what it lets pass is not", () => {
  // Not a measurement: the gap is that between a second and a millisecond.
  const steps = (form: RegExp, text: string): number => {
    const start = process.hrtime.bigint();
    form.test(text);
    return Number(process.hrtime.bigint() - start) / 1e6;
  };
  const text = `${"a".repeat(25)}!`;
  assert.ok(steps(/^(a+)+$/, text) > 20 * steps(/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/, text));
  assert.deepEqual(regexFaults("^(a+)+$", ""), ["a repeat inside a repeat"]);
});
