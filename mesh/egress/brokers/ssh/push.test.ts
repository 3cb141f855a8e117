import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Utf8Text } from "../../../store/utf8-text.ts";
import { writeEvent } from "../../../audit/event.ts";
import { checkPush, PushReader, replacing, told, type PushHead } from "./push.ts";
import { isRefGlob, isRefName } from "./ref-name.ts";
import type { PushRule } from "./setting.ts";

const [A, B, NONE] = ["a".repeat(40), "b".repeat(40), "0".repeat(40)];
const pkt = (text: string): Buffer => {
  const body = Buffer.from(text);
  return Buffer.concat([Buffer.from((body.length + 4).toString(16).padStart(4, "0")), body]);
};
const flush = Buffer.from("0000");
const command = (was: string, is: string, ref: string, capabilities?: string): Buffer =>
  pkt(`${was} ${is} ${ref}${capabilities === undefined ? "" : `\0${capabilities}`}`);

/** What the reader says of bytes that come in pieces of these lengths, over and over. */
function readIn(bytes: Buffer, lengths: readonly number[]): { head: PushHead; rest: Buffer } | string | null {
  const reader = new PushReader();
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const end = at + (lengths[turn % lengths.length] ?? 1);
    const read = reader.push(bytes.subarray(at, end));
    if (!read.ok) return read.error.reason;
    if (read.value) return { head: read.value.head, rest: Buffer.concat([read.value.rest, bytes.subarray(end)]) };
    at = end;
  }
  return null;
}

const name = fc.stringMatching(/^[a-z]{1,8}$/).map((text) => `refs/heads/${text}`);
const id = fc.stringMatching(/^[0-9a-f]{40}$/);
const update = fc.record({ was: id, is: id, ref: name }, { noNullPrototype: true });

test("what it has read is what the server will read, byte for byte, however it comes", () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(update, { minLength: 1, maxLength: 20, selector: ({ ref }) => ref }),
      fc.uint8Array({ maxLength: 100 }),
      fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 5 }),
      fc.boolean(),
      (updates, pack, lengths, ends) => {
        const lines = updates.map(({ was, is, ref }, index) =>
          command(
            was,
            is,
            `${ref}${ends && index > 0 ? "\n" : ""}`,
            index === 0 ? " report-status agent=git/2" : undefined,
          ),
        );
        const bytes = Buffer.concat([...lines, flush]);
        const read = readIn(Buffer.concat([bytes, pack]), lengths);
        assert.ok(read !== null && typeof read === "object");
        assert.deepEqual(read.head.updates, updates);
        assert.ok(read.head.bytes.equals(bytes) && read.rest.equals(Buffer.from(pack)));
      },
    ),
    { seed: 4, numRuns: 500 },
  );
});

test("arbitrary bytes are read or refused, and never allowed as something else", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.integer({ min: 1, max: 50 }), (bytes, length) => {
      const read = readIn(Buffer.concat([command(A, B, "refs/heads/x"), bytes]), [length]);
      if (read === null || typeof read === "string") return;
      assert.ok(read.head.updates.every(({ ref }) => isRefName(ref)));
    }),
    { seed: 4, numRuns: 2_000 },
  );
});

const refused: readonly (readonly [bytes: readonly Buffer[], told: RegExp])[] = [
  [[pkt("push-cert\0push-cert=x")], /signed push/],
  [[command(A, B, "refs/heads/x", "push-options")], /options of a push/],
  [[command(A, B, "refs/heads/x", "atomic object-format=md5")], /`object-format=md5`/],
  [[command(A, B, "refs/heads/x"), command(A, B, "refs/heads/y", "atomic")], /behind the first command only/],
  [[command(A, B, "refs/heads/x"), command(A, B, "refs/heads/x")], /twice/],
  [[command(A, B.slice(1), "refs/heads/x")], /not one/],
  [[command(A, `${B}${B}`.slice(0, 64), "refs/heads/x")], /not one/],
  [[command(A, B, "HEAD")], /not one/],
  [[command(A, B, "refs/heads/x y")], /not one/],
  [[pkt("\u{feff}shallow x")], /not one/],
  [[Buffer.from("0004")], /no length/],
  [[Buffer.from("+0ff")], /no length/],
  [[Buffer.concat([Buffer.from("0008"), Buffer.of(0xff, 0xfe, 0xfd, 0xfc)])], /not UTF-8/],
];
test("what the server could read in another way is refused", () => {
  for (const [bytes, reason] of refused)
    assert.match(JSON.stringify(readIn(Buffer.concat([...bytes, flush]), [7])), reason);
});

test("lines of a shallow clone stand before the commands", () => {
  const read = readIn(Buffer.concat([pkt(`shallow ${A}`), command(A, B, "refs/heads/x"), flush]), [1_000]);
  assert.ok(read !== null && typeof read === "object");
  assert.equal(read.head.updates.length, 1);
});

const rule: PushRule = { refs: ["refs/heads/agent/**"], mayDelete: false, mayForce: false };
const headOf = (...updates: PushHead["updates"]): PushHead => ({ updates, bytes: Buffer.alloc(0) });

test("each ref is one of the rule's, and is deleted only where it says so", () => {
  const check = (head: PushHead, more: Partial<PushRule> = {}): string => {
    const checked = checkPush(head, { ...rule, ...more }, "site");
    return checked.ok ? "ok" : checked.error.reason;
  };
  const good = { was: NONE, is: A, ref: "refs/heads/agent/a/b" };
  assert.equal(check(headOf(good)), "ok");
  for (const ref of ["refs/heads/agentx", "refs/heads/main", "refs/tags/agent/x"])
    assert.match(check(headOf(good, { ...good, ref })), /is not a ref that may be pushed/);
  assert.match(check(headOf({ ...good, was: A, is: NONE })), /may not be deleted/);
  assert.equal(check(headOf({ ...good, was: A, is: NONE }), { mayDelete: true }), "ok");
});

test("only what sets a ref to something else has to follow from it", () => {
  const [made, gone, same, moved] = [
    { was: NONE, is: A, ref: "refs/heads/a" },
    { was: A, is: NONE, ref: "refs/heads/b" },
    { was: A, is: A, ref: "refs/heads/c" },
    { was: A, is: B, ref: "refs/heads/d" },
  ];
  assert.deepEqual(replacing(headOf(made, gone, same, moved)), [moved]);
});

test("names of refs are those of git, and a pattern is one of them with stars", () => {
  for (const good of ["refs/heads/main", "refs/heads/größe", "refs/heads/a-b_c.d", "refs/tags/v1.0"])
    assert.ok(isRefName(good), good);
  for (const bad of [
    ...["HEAD", "refs", "refs/", "refs/heads/", "refs/heads/.x", "refs/heads/x.", "refs/heads/x.lock", "refs//x"],
    ...["refs/heads/a..b", "refs/heads/a@{1}", "refs/heads/a b", "refs/heads/a~1", "refs/heads/a^", "refs/heads/a:b"],
    ...["refs/heads/a?", "refs/heads/a*", "refs/heads/a[", "refs/heads/a\\b", "refs/heads/a\0", "refs/heads/a\u202eb"],
    ...["refs/heads/-x", `refs/heads/${"x".repeat(600)}`, "refs/heads/a\u00a0b", "refs/heads/a\u200b"],
  ])
    assert.equal(isRefName(bad), false, JSON.stringify(bad));
  for (const good of ["refs/**", "refs/heads/**", "refs/heads/agent-*", "refs/heads/main"])
    assert.ok(isRefGlob(good), good);
  for (const bad of ["**", "*", "main", "heads/**", "refs/heads/a b"]) assert.equal(isRefGlob(bad), false, bad);
});

test("whatever a push names, its evidence fits a record", () => {
  for (const [count, text] of [
    [1, "x"],
    [256, "x"],
    [256, "x".repeat(450)],
    [256, '"'.repeat(450)],
    [256, "\u{1f600}".repeat(200)],
  ] as const) {
    const updates = Array.from({ length: count }, (_, n) => ({ was: A, is: B, ref: `refs/heads/${n}/${text}` }));
    const refs = told(headOf(...updates));
    const record = new Utf8Text();
    writeEvent(record, {
      kind: "git.pushed",
      subject: "agent:a",
      detail: { repository: "x", refs: [...refs] },
    });
    assert.match(record.view().toString(), new RegExp(`update refs/heads/0/`));
    const shown = refs.filter((line) => line.startsWith("update ")).length;
    const rest = shown === count ? undefined : `and ${count - shown} more: sha256 of all `;
    assert.equal(refs[shown]?.slice(0, rest?.length), rest);
    assert.equal(refs.length, shown + (rest === undefined ? 0 : 1));
  }
});
