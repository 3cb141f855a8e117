import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { test } from "node:test";
import { deflateSync } from "node:zlib";
import fc from "fast-check";
import { limits } from "../../../../protocol/limits.ts";
import { applyDelta } from "./delta.ts";
import { History } from "./history.ts";

const REF = "refs/heads/agent/x";
const WAS = "c".repeat(40);
const [COMMIT, TREE, BLOB, TAG, OFS_DELTA, REF_DELTA] = [1, 2, 3, 4, 6, 7];

const idOf = (content: string): string =>
  createHash("sha1")
    .update(`commit ${Buffer.byteLength(content)}\0${content}`)
    .digest("hex");
const commit = (parents: readonly string[], text: string): string =>
  `tree ${"d".repeat(40)}\n${parents.map((parent) => `parent ${parent}\n`).join("")}author a <a@test> 0 +0000\n\n${text}`;

function header(kind: number, size: number): Buffer {
  const bytes = [(kind << 4) | (size & 15)];
  for (let left = size >> 4; left > 0; left >>= 7) {
    bytes[bytes.length - 1]! |= 0x80;
    bytes.push(left & 0x7f);
  }
  return Buffer.from(bytes);
}
const object = (kind: number, content: string | Buffer): Buffer =>
  Buffer.concat([header(kind, Buffer.byteLength(content)), deflateSync(Buffer.from(content))]);
function pack(...objects: readonly Buffer[]): Buffer {
  const head = Buffer.from("PACK\0\0\0\0\0\0\0\0");
  head.writeUInt32BE(2, 4);
  head.writeUInt32BE(objects.length, 8);
  return Buffer.concat([head, ...objects, Buffer.alloc(20)]);
}
const varint = (size: number): number[] => (size < 0x80 ? [size] : [(size & 0x7f) | 0x80, ...varint(size >> 7)]);

/** How far back its base begins (gitformat-pack(5)). */
function placeBefore(back: number): Buffer {
  const bytes = [back & 0x7f];
  for (let left = back >> 7; left > 0; left = left >> 7) bytes.unshift((--left & 0x7f) | 0x80);
  return Buffer.from(bytes);
}

/** A delta that copies the whole base and adds a text. */
function delta(base: string, more: string): Buffer {
  const copy = [0x80 | 0x10 | 0x20, base.length & 0xff, base.length >> 8];
  return Buffer.from([
    ...varint(base.length),
    ...varint(base.length + more.length),
    ...copy,
    more.length,
    ...Buffer.from(more),
  ]);
}

/** "seen", the reason of a refusal, or "more". */
async function look(bytes: Buffer, is: string, lengths: readonly number[] = [bytes.length]): Promise<string> {
  const history = new History([{ was: WAS, is, ref: REF }]);
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const end = at + (lengths[turn % lengths.length] ?? 1);
    const read = await history.push(bytes.subarray(at, end));
    if (!read.ok) return read.error.reason;
    if (read.value) {
      assert.ok(read.value.equals(bytes.subarray(0, end)), "all that was held goes on");
      return "seen";
    }
    at = end;
  }
  return "more";
}

test("an update is seen to follow exactly when its commits lead to what the ref was", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 12 }),
      fc.integer({ min: -1, max: 11 }),
      fc.array(fc.integer({ min: 40, max: 400 }), { minLength: 1, maxLength: 4 }),
      fc.boolean(),
      async (count, missing, lengths, merges) => {
        const commits: string[] = [];
        for (let i = 0; i < count; i++) {
          const parent = i === 0 ? WAS : idOf(commits[i - 1] ?? "");
          commits.push(commit(merges ? ["e".repeat(40), parent] : [parent], `number ${i}`));
        }
        const kept = commits.filter((_, index) => index !== missing);
        // Git puts the newest first, and the trees behind the commits.
        const objects = [
          ...kept.toReversed().map((each) => object(COMMIT, each)),
          object(TREE, "x"),
          object(BLOB, "y"),
        ];
        const seen = await look(pack(...objects), idOf(commits.at(-1) ?? ""), lengths);
        assert.equal(seen === "seen", missing < 0 || missing >= count, seen);
      },
    ),
    { seed: 5, numRuns: 200 },
  );
});

test("a commit that is made from another one, in either way of saying so, counts as what it is made to", async () => {
  const base = commit([WAS], "the first, which is long enough");
  const more = " and a tail";
  const made = base + more;
  const first = object(COMMIT, base);
  const change = delta(base, more);
  const body = Buffer.concat([header(OFS_DELTA, change.length), Buffer.of(first.length), deflateSync(change)]);
  assert.ok(first.length < 0x80);
  assert.equal(await look(pack(first, body), idOf(made)), "seen");
  const byId = Buffer.concat([header(REF_DELTA, change.length), Buffer.from(idOf(base), "hex"), deflateSync(change)]);
  assert.equal(await look(pack(first, byId), idOf(made)), "seen");
  assert.match(await look(pack(byId, first), idOf(made)), /is not seen to follow/);
});

test("tags between the commits are passed over", async () => {
  const made = commit([WAS], "x");
  assert.equal(await look(pack(object(TAG, "object x\n"), object(COMMIT, made)), idOf(made)), "seen");
});

test("no past is believed that the commits have not", async () => {
  const lying = commit([], `parent ${WAS}\n`);
  const late = commit([], "x").replace("author", `author a\nparent ${WAS}\nauthor`);
  for (const text of [lying, late])
    assert.match(await look(pack(object(COMMIT, text)), idOf(text)), /is not seen to follow/);
  const claimed = commit([WAS], "x");
  assert.match(await look(pack(object(BLOB, claimed)), idOf(claimed)), /is not seen to follow/);
  assert.match(await look(pack(), idOf(claimed)), /is not seen to follow/);
  assert.match(await look(pack(object(TREE, "t"), object(COMMIT, claimed)), idOf(claimed)), /is not seen to follow/);
});

test("what is broken, a bomb or too much is refused, and costs no more than the limits say", async () => {
  const made = commit([WAS], "x");
  const id = idOf(made);
  assert.match(await look(Buffer.from("PACK\x00\x00\x00\x03\x00\x00\x00\x01x"), id), /not a pack/);
  assert.match(await look(Buffer.from("0000000000000000"), id), /not a pack/);
  const bomb = Buffer.concat([header(COMMIT, 100), deflateSync(Buffer.alloc(64 * 1024 * 1024))]);
  assert.match(await look(pack(bomb), id), /is not seen to follow/);
  const long = Buffer.concat([header(COMMIT, limits.git.commitBytesMax + 1), deflateSync(Buffer.alloc(1))]);
  assert.match(await look(pack(long), id), /is not seen to follow/);
  const noise = commit([WAS], randomBytes(30_000).toString("base64"));
  assert.match(await look(pack(object(COMMIT, noise)), idOf(noise), [1]), /too many commits to look at/);
  assert.equal(await look(pack(object(COMMIT, noise)), idOf(noise), [4_096]), "seen");
});

/** As long as a commit may be, and small in a pack. */
const blownUp = (n: number, parent: string): string => commit([parent], `${n} `).padEnd(limits.git.commitBytesMax, "x");

test("a small pack of large commits, or of large tags, costs what the limits say and keeps nobody waiting", async () => {
  const objectsCount = 4 * (limits.git.historyBytesMax / limits.git.commitBytesMax);
  const commits = Array.from({ length: objectsCount }, (_, n) => blownUp(n, WAS));
  const base = commits[0] ?? "";
  // Of ten bytes each: the same commit again, by its place.
  const again = delta(base.slice(0, 60_000), "!");
  const firsts = [object(COMMIT, base.slice(0, 60_000))];
  let back = firsts[0]?.length ?? 0;
  for (let n = 1; n < objectsCount; n++) {
    const change = Buffer.concat([header(OFS_DELTA, again.length), placeBefore(back), deflateSync(again)]);
    firsts.push(change);
    back += change.length;
  }
  for (const [what, objects] of [
    ["commits", commits.map((each) => object(COMMIT, each))],
    ["tags", commits.map((each) => object(TAG, each))],
    ["deltas", firsts],
  ] as const) {
    const bomb = pack(...objects, object(COMMIT, "tree x\n")).subarray(0, -20);
    assert.ok(bomb.length < limits.git.historyBytesMax / 8, `${what}: ${bomb.length} bytes`);
    let turns = 0;
    let counting = true;
    const count = (): unknown => counting && setImmediate(() => (turns++, count()));
    count();
    const history = new History([{ was: WAS, is: "a".repeat(40), ref: REF }]);
    const read = await history.push(bomb);
    counting = false;
    assert.ok(!read.ok, what);
    assert.match(read.error.reason, /is not seen to follow/, what);
    // Sixteen objects are unpacked in a turn, and a hundred and thirty fit the limit.
    assert.ok(turns >= 4 && turns <= 16, `${what}: others had ${turns} turns`);
  }
});

test("arbitrary bytes behind a good beginning are refused or waited for, and never believed", async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.integer({ min: 1, max: 100 }), async (bytes, length) => {
      assert.notEqual(
        await look(
          Buffer.concat([pack(object(COMMIT, commit([], "x"))).subarray(0, -20), bytes]),
          WAS.replace("c", "a"),
          [length],
        ),
        "seen",
      );
    }),
    { seed: 6, numRuns: 500 },
  );
});

test("a delta makes what it says or nothing, whatever it is", () => {
  const base = Buffer.from("a base of some length");
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      const made = applyDelta(base, Buffer.from(bytes), 1_000);
      assert.ok(made === undefined || made.length <= 1_000);
    }),
    { seed: 7, numRuns: 3_000 },
  );
  assert.equal(applyDelta(base, delta(base.toString(), "!"), 1_000)?.toString(), "a base of some length!");
  assert.equal(applyDelta(base, delta(base.toString(), "!"), 21), undefined);
  assert.equal(applyDelta(Buffer.from("another"), delta(base.toString(), "!"), 1_000), undefined);
});
