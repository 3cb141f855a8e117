/** Records that are stored together: whoever changes the row of a segment is found, and readers get all of it. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test, type TestContext } from "node:test";
import { createAudit } from "../../mesh/audit/create.ts";
import { verifyAudit } from "../../mesh/audit/verify.ts";
import { openReadOnly, openStore } from "../../mesh/store/open.ts";
import { limits } from "../../protocol/limits.ts";
import { withFirstForm } from "./audit-forms.ts";
import { auditKeys, SimulatedClock, stateFolder } from "./world.ts";

const keys = auditKeys();
/** Records of one segment each. */
const SIZES = [3, 1, 4];
const RECORDS = 8;

async function chain(t: TestContext, sizes: readonly number[] = SIZES, text = "x"): Promise<string> {
  const path = stateFolder(t);
  const clock = new SimulatedClock("2026-03-01T10:00:00Z");
  const store = await openStore({ path, mode: "inline" });
  const audit = createAudit({ store, clock, ...keys });
  let n = 0;
  for (const size of sizes) {
    const together = Array.from({ length: size }, () =>
      audit.record({ kind: `kind.k${++n}`, subject: `agent:a${n}`, detail: { n, text: `${text}\n${n}` } }),
    );
    await Promise.all(together);
  }
  await audit.close();
  await store.close();
  return path;
}

async function verdictAfter(path: string, sql: string) {
  const file = join(path, "cordon.sqlite");
  const db = new DatabaseSync(file);
  db.exec("CREATE TABLE IF NOT EXISTS kept AS SELECT * FROM audit_segment");
  db.exec(sql);
  const state = openReadOnly(path);
  try {
    return await verifyAudit(state.query, { publicKey: keys.signer.publicKey, macKey: keys.macKey });
  } finally {
    state.close();
    db.exec("DELETE FROM audit_segment; INSERT INTO audit_segment SELECT * FROM kept; DELETE FROM audit");
    db.close();
  }
}

async function assertFound(path: string, sql: string, badSeq: number | undefined, what: string): Promise<void> {
  const verdict = await verdictAfter(path, sql);
  assert.equal(verdict.ok, false, what);
  if (!verdict.ok && badSeq !== undefined) assert.equal(verdict.badSeq, badSeq, `${what}: ${verdict.fault}`);
}

test("records of one transaction are one row, and are read one by one from any place", async (t) => {
  const path = await chain(t);
  const state = openReadOnly(path);
  t.after(() => state.close());
  const { audit } = state.query;
  assert.deepEqual(
    audit.segments(0, 10).map(({ first, last }) => [first, last]),
    [
      [1, 3],
      [4, 4],
      [5, 8],
    ],
  );
  for (let after = 0; after <= RECORDS; after++) {
    for (let limit = 1; limit <= RECORDS; limit++) {
      const seqs = audit.page(after, limit).map(({ seq }) => seq);
      const left = Array.from({ length: Math.min(limit, RECORDS - after) }, (_, at) => after + 1 + at);
      assert.deepEqual(seqs, left);
    }
  }
  assert.deepEqual(audit.page(4, 1)[0]?.detail, '{"n":5,"text":"x\\n5"}');
  assert.equal(audit.page(4, 1)[0]?.kind, "kind.k5");
  assert.equal(audit.page(4, 1)[0]?.subject, "agent:a5");
  assert.equal(audit.last()?.seq, RECORDS);
  assert.equal(audit.extent().lastSeq, RECORDS);
});

test("a character of a segment, changed, is found at its record", async (t) => {
  const path = await chain(t);
  const state = openReadOnly(path);
  const [segment] = state.query.audit.segments(0, 1);
  state.close();
  assert.ok(segment);
  const { records } = segment;
  for (let at = 0; at < records.length; at += 3) {
    const to = records[at] === "y" ? "z" : "y";
    const sql = `UPDATE audit_segment SET records = substr(records, 1, ${at}) || '${to}' || substr(records, ${at + 2}) WHERE first = 1`;
    const broken = records[at] === "\n";
    await assertFound(path, sql, records.slice(0, at).split("\n").length, broken ? "a line break" : `character ${at}`);
  }
  for (let at = 0; at < segment.hashes.length; at += 7) {
    const hashes = Buffer.from(segment.hashes);
    hashes[at] = (hashes[at] ?? 0) ^ 1;
    const sql = `UPDATE audit_segment SET hashes = x'${hashes.toString("hex")}' WHERE first = 1`;
    await assertFound(path, sql, 1 + Math.floor(at / 32), `byte ${at} of the hashes`);
  }
});

test("a segment that says more or less than it holds is found", async (t) => {
  const path = await chain(t);
  const line = "1772359200000 kind.forged agent:a1 {}";
  const attempts: readonly (readonly [string, number | undefined])[] = [
    ["UPDATE audit_segment SET last = last + 1 WHERE first = 1", 4],
    ["UPDATE audit_segment SET last = last - 1 WHERE first = 1", 4],
    ["UPDATE audit_segment SET last = last + 1 WHERE first = 5", 9],
    ["UPDATE audit_segment SET last = last - 1 WHERE first = 5", undefined],
    ["UPDATE audit_segment SET first = 9 WHERE first = 5", 5],
    ["UPDATE audit_segment SET first = 0 WHERE first = 1", undefined],
    [`UPDATE audit_segment SET records = records || char(10) || '${line}' WHERE first = 1`, 4],
    [
      `UPDATE audit_segment SET records = records || char(10) || '${line}', last = last + 1, hashes = CAST(hashes || randomblob(32) AS BLOB) WHERE first = 5`,
      9,
    ],
    ["UPDATE audit_segment SET hashes = CAST(hashes || x'00' AS BLOB) WHERE first = 4", 5],
    ["UPDATE audit_segment SET hashes = x'' WHERE first = 4", 4],
    ["UPDATE audit_segment SET records = '' WHERE first = 4", 4],
    ["DELETE FROM audit_segment WHERE first = 1", 1],
    ["DELETE FROM audit_segment WHERE first = 4", 4],
    ["DELETE FROM audit_segment WHERE first = 5", 5],
    ["DELETE FROM audit_segment", 1],
  ];
  for (const [sql, badSeq] of attempts) await assertFound(path, sql, badSeq, sql);
  assert.equal((await verdictAfter(path, "")).ok, true, "untouched");
});

test("a segment or a row that is put in is found wherever it says that it stands", async (t) => {
  const path = await chain(t);
  for (const first of [-7, 0, 2, 3, 6, 7, 8, 9, 1_000_000]) {
    const forged = `INSERT INTO audit_segment SELECT ${first}, last - first + ${first}, hashes, records FROM audit_segment`;
    await assertFound(path, `${forged} WHERE first = 4`, undefined, `a copy at ${first}`);
    await assertFound(
      path,
      `INSERT INTO audit_segment VALUES (${first}, 1, x'', '')`,
      undefined,
      `nothing at ${first}`,
    );
    const row = `INSERT INTO audit VALUES (${first}, 1, 'forged', 'mesh', '{}', randomblob(32))`;
    await assertFound(path, row, undefined, `a row at ${first}`);
  }
});

test("nothing is put in behind records of the first form alone", async (t) => {
  const path = await chain(t);
  const db = new DatabaseSync(join(path, "cordon.sqlite"));
  withFirstForm(db, RECORDS, keys);
  const verdict = async () => {
    const state = openReadOnly(path);
    try {
      return await verifyAudit(state.query, { publicKey: keys.signer.publicKey, macKey: keys.macKey });
    } finally {
      state.close();
    }
  };
  assert.equal((await verdict()).ok, true);
  db.exec("INSERT INTO audit_segment VALUES (1000000000, 1, x'', '')");
  assert.equal((await verdict()).ok, false);
  db.close();
});

test("many segments, and one that is too long for a row, are verified and read whole", async (t) => {
  const large = "y".repeat(limits.audit.detailBytesMax - 100);
  const together = Math.ceil((limits.audit.segmentCharsMax / large.length) * 2.5);
  const path = await chain(t, [...Array.from({ length: 40 }, () => 1), together], large);
  const state = openReadOnly(path);
  t.after(() => state.close());
  const { audit } = state.query;
  assert.equal(audit.segments(40, 100).length, 3);
  const verdict = await verifyAudit(state.query, { publicKey: keys.signer.publicKey, macKey: keys.macKey });
  assert.equal(verdict.ok && verdict.records, 40 + together);
  const seqs: number[] = [];
  for (let rows = audit.page(0, 7); rows.length > 0; rows = audit.page(seqs.at(-1) ?? 0, 7))
    seqs.push(...rows.map(({ seq }) => seq));
  assert.deepEqual(
    seqs,
    Array.from({ length: 40 + together }, (_, at) => at + 1),
  );
});

test("a chain of the first form goes on in segments, and is one list", async (t) => {
  const path = await chain(t);
  const db = new DatabaseSync(join(path, "cordon.sqlite"));
  withFirstForm(db, RECORDS, keys);
  db.close();
  const clock = new SimulatedClock("2026-03-02T10:00:00Z");
  const store = await openStore({ path, mode: "inline" });
  const audit = createAudit({ store, clock, ...keys });
  await Promise.all([1, 2].map((n) => audit.record({ kind: "mesh.started", subject: "mesh", detail: { n } })));
  await audit.close();
  await store.close();
  const state = openReadOnly(path);
  t.after(() => state.close());
  const verdict = await verifyAudit(state.query, { publicKey: keys.signer.publicKey, macKey: keys.macKey });
  assert.equal(verdict.ok && verdict.records, RECORDS + 2);
  const { audit: query } = state.query;
  assert.equal(query.rows(0, 100).length, RECORDS);
  assert.deepEqual(
    query.page(RECORDS - 1, 2).map(({ seq, kind }) => [seq, kind]),
    [
      [RECORDS, `kind.k${RECORDS}`],
      [RECORDS + 1, "mesh.started"],
    ],
  );
});
