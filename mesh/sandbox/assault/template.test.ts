import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fill, parseTemplate } from "./template.ts";

const launch = { rootfs: "/r s", code: "/c;rm", command: ["/bin/node", "/code/main.js", "$(x)"] };
const words = (text: string): readonly string[] => {
  const parsed = parseTemplate(text);
  assert.ok(parsed.ok, parsed.ok ? "" : parsed.error);
  return fill(parsed.value, launch);
};

describe("a launcher's command", () => {
  it("is cut at blanks, and what stands for a placeholder is never cut again", () => {
    assert.deepEqual(words("run -v {code}:/code:ro {rootfs}  {command}"), [
      ...["run", "-v", "/c;rm:/code:ro", "/r s", "/bin/node", "/code/main.js", "$(x)"],
    ]);
  });
  it("keeps what quotes and backslashes protect", () => {
    assert.deepEqual(words(`a 'b "c' "d 'e\\"" f\\ g "" {code} {command}`).slice(0, 5), [
      ...["a", `b "c`, `d 'e"`, "f g", ""],
    ]);
  });
  it("gives nothing of the shell's a meaning", () => {
    assert.deepEqual(words("a $HOME `b` ; | > {code} {command}").slice(0, 6), ["a", "$HOME", "`b`", ";", "|", ">"]);
  });
  for (const [text, why] of [
    ["", /empty/],
    ["   ", /empty/],
    ["run {code}", /`\{command\}`/],
    ["run {command}", /`\{code\}`/],
    ["run {code} {command} {image}", /no `\{image\}`/],
    ["run {code} x={command}", /stand alone/],
    ["run 'x {code} {command}", /within quotes/],
    [`run {code} {command} ${"x".repeat(20_000)}`, /too long/],
    ["run {code} {command} \0", /too long/],
  ] as const) {
    it(`refuses \`${text.slice(0, 40)}\``, () => {
      const parsed = parseTemplate(text);
      assert.ok(!parsed.ok);
      assert.match(parsed.error, why);
    });
  }
});
