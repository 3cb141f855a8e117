import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import test, { type TestContext } from "node:test";
import fc from "fast-check";
import { InvariantError } from "../../lib/assert.ts";
import { Secret } from "../../lib/redact.ts";
import { createAudit } from "../../mesh/audit/create.ts";
import { verifyAudit } from "../../mesh/audit/verify.ts";
import { openReadOnly, openStore } from "../../mesh/store/open.ts";
import { limits } from "../../protocol/limits.ts";
import { asRows, withFirstForm } from "./audit-forms.ts";
import { auditKeys, SimulatedClock, stateFolder } from "./world.ts";

const RECORDS = 12;
const keys = auditKeys();

/** How many records of a chain are stored as they were before there were segments. */
const OLD = [0, 5, RECORDS];
/** Where records move: one that comes to stand in another form is altered. */
const ONE_FORM = [0, RECORDS];
/** Where each record is looked at: some of either form. */
const BOTH_FORMS = [5];

/** A closed state with `records` records, the first `old` of them rows of their own. */
async function chain(t: TestContext, records = RECORDS, old = 0): Promise<string> {
  const path = stateFolder(t);
  const clock = new SimulatedClock("2026-03-01T10:00:00Z");
  const store = await openStore({ path, mode: "inline" });
  const audit = createAudit({ store, clock, ...keys });
  await Promise.all(
    Array.from({ length: records }, (_, i) => {
      clock.pass(10);
      return audit.record({ kind: `kind.k${i}`, subject: `agent:a${i}`, detail: { number: i } });
    }),
  );
  await audit.close();
  await store.close();
  const db = new DatabaseSync(join(path, "cordon.sqlite"));
  if (old > 0) withFirstForm(db, old, keys);
  db.close();
  return path;
}

async function verdictAfter(path: string, tamper: (db: DatabaseSync) => void, withMac = true) {
  const db = new DatabaseSync(join(path, "cordon.sqlite"));
  tamper(db);
  db.close();
  const state = openReadOnly(path);
  try {
    const { macKey } = keys;
    return await verifyAudit(state.query, { publicKey: keys.signer.publicKey, ...(withMac ? { macKey } : {}) });
  } finally {
    state.close();
  }
}

/** What a tamperer does to the records, in whatever form they are stored; the chain is whole again after it. */
const attempt = (path: string, sql: string, withMac = true) =>
  attemptOn(path, (db) => asRows(db, () => db.exec(sql)), withMac);

async function attemptOn(path: string, tamper: (db: DatabaseSync) => void, withMac = true) {
  const before = new DatabaseSync(join(path, "cordon.sqlite"));
  const tables = ["audit", "audit_segment", "audit_checkpoint", "audit_head"];
  for (const table of tables) before.exec(`CREATE TABLE kept_${table} AS SELECT * FROM ${table}`);
  before.close();
  const verdict = await verdictAfter(path, tamper, withMac);
  const after = new DatabaseSync(join(path, "cordon.sqlite"));
  for (const table of tables) {
    after.exec(`DELETE FROM ${table}; INSERT INTO ${table} SELECT * FROM kept_${table}; DROP TABLE kept_${table}`);
  }
  after.close();
  return verdict;
}

function assertFound(verdict: Awaited<ReturnType<typeof verdictAfter>>, badSeq: number, fault: RegExp): void {
  assert.equal(verdict.ok, false);
  if (verdict.ok) return;
  assert.equal(verdict.badSeq, badSeq);
  assert.match(verdict.fault, fault);
}

test("an untouched chain verifies, with its checkpoint and its seal", async (t) => {
  for (const old of OLD) {
    const path = await chain(t, RECORDS, old);
    const verdict = await verdictAfter(path, () => {});
    assert.equal(verdict.ok && verdict.records, RECORDS);
    assert.equal(verdict.ok && verdict.checkpoints, 1);
  }
});

test("every field of every record, flipped, is found at its position", async (t) => {
  for (const old of BOTH_FORMS) {
    const path = await chain(t, RECORDS, old);
    const flips = [
      "at_ms = at_ms + 1",
      "kind = kind || 'x'",
      "subject = subject || 'x'",
      "detail = '{}'",
      "hash = randomblob(32)",
    ];
    for (let seq = 1; seq <= RECORDS; seq++) {
      for (const flip of flips) {
        assertFound(await attempt(path, `UPDATE audit SET ${flip} WHERE seq = ${seq}`), seq, /altered/);
      }
    }
  }
});

test("a dropped record is missing, at its position", async (t) => {
  for (const old of OLD) {
    const path = await chain(t, RECORDS, old);
    for (let seq = 1; seq < RECORDS; seq++) {
      assertFound(await attempt(path, `DELETE FROM audit WHERE seq = ${seq}`), seq, /missing/);
    }
  }
});

test("a dropped record whose successors move up is found at its position", async (t) => {
  for (const old of OLD) {
    const path = await chain(t, RECORDS, old);
    const sql =
      "DELETE FROM audit WHERE seq = 5; UPDATE audit SET seq = -seq WHERE seq > 5; UPDATE audit SET seq = -seq - 1 WHERE seq < 0";
    assertFound(await attempt(path, sql), 5, /altered|missing/);
  }
});

test("two records that change places are found and called reordered", async (t) => {
  for (const old of ONE_FORM) {
    const path = await chain(t, RECORDS, old);
    for (const [a, b] of [
      [1, 2],
      [3, 9],
      [11, 12],
    ] as const) {
      const sql = `UPDATE audit SET seq = -1 WHERE seq = ${a}; UPDATE audit SET seq = ${a} WHERE seq = ${b}; UPDATE audit SET seq = ${b} WHERE seq = -1`;
      assertFound(await attempt(path, sql), a, new RegExp(`reordered: the true record stands at ${b}`));
    }
  }
});

test("an inserted record is found: between two, before the first, after the last", async (t) => {
  for (const old of ONE_FORM) {
    const path = await chain(t, RECORDS, old);
    const forged = (seq: number): string =>
      `INSERT INTO audit VALUES (${seq}, 1, 'forged', 'mesh', '{}', randomblob(32))`;
    const between = `UPDATE audit SET seq = -seq WHERE seq > 4; UPDATE audit SET seq = -seq + 1 WHERE seq < 0; ${forged(5)}`;
    assertFound(await attempt(path, between), 5, /inserted/);
    assertFound(await attempt(path, forged(0)), 0, /inserted/);
    assertFound(await attempt(path, forged(-3)), -3, /inserted/);
    assertFound(await attempt(path, forged(RECORDS + 1)), RECORDS + 1, /altered|inserted/);
  }
});

test("a truncated tail is found, also when its checkpoint goes with it", async (t) => {
  for (const old of OLD) {
    const path = await chain(t, RECORDS, old);
    for (let seq = 1; seq <= RECORDS; seq++) {
      assertFound(await attempt(path, `DELETE FROM audit WHERE seq >= ${seq}`), seq, /tail dropped/);
      const both = `DELETE FROM audit WHERE seq >= ${seq}; DELETE FROM audit_checkpoint`;
      assertFound(await attempt(path, both), seq, /tail dropped/);
    }
  }
});

test("a seal that is made to fit a truncated tail fails its proof", async (t) => {
  const path = await chain(t);
  const sql = `DELETE FROM audit WHERE seq > 6; DELETE FROM audit_checkpoint;
    UPDATE audit_head SET seq = 6, hash = (SELECT hash FROM audit WHERE seq = 6)`;
  assertFound(await attempt(path, sql), 6, /seal .* wrong/);
  assertFound(await attempt(path, "DELETE FROM audit_head"), RECORDS, /seal .* missing/);
  assert.equal((await attempt(path, sql, false)).ok, true, "without the key only the chain itself is proved");
});

test("a checkpoint that was changed, forged or removed is found", async (t) => {
  const path = await chain(t, limits.audit.checkpointRecordsMax + 5);
  const due = limits.audit.checkpointRecordsMax;
  for (const flip of ["hash = randomblob(32)", "at_ms = at_ms + 1", "signature = randomblob(64)", "signature = x''"]) {
    assertFound(
      await attempt(path, `UPDATE audit_checkpoint SET ${flip} WHERE seq = ${due}`),
      due,
      /checkpoint broken/,
    );
  }
  assertFound(
    await attempt(path, `DELETE FROM audit_checkpoint WHERE seq = ${due}`),
    due,
    /checkpoint broken.*missing/,
  );
});

test("a whole chain forged without the signing key is found at its first checkpoint", async (t) => {
  const path = await chain(t);
  const other = auditKeys();
  const state = openReadOnly(path);
  t.after(() => state.close());
  assertFound(await verifyAudit(state.query, { publicKey: other.signer.publicKey }), RECORDS, /checkpoint broken/);
});

test("any change of any byte of the evidence is found (property)", async (t) => {
  const path = await chain(t);
  const field = fc.constantFrom("at_ms", "kind", "subject", "detail", "hash");
  const value = fc.oneof(fc.integer(), fc.string({ minLength: 1, maxLength: 20, unit: "grapheme-ascii" }));
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: RECORDS }), field, value, async (seq, name, to) => {
      const literal =
        name === "at_ms"
          ? String(Number(to) || 0)
          : name === "hash"
            ? "randomblob(32)"
            : `'${String(to).replaceAll("'", "''")}'`;
      assertFound(await attempt(path, `UPDATE audit SET ${name} = ${literal} WHERE seq = ${seq}`), seq, /altered/);
    }),
    { seed: 20_260_301, numRuns: 60 },
  );
});

test("the chain goes on after a restart, and not on an end that was not sealed", async (t) => {
  const path = await chain(t);
  const clock = new SimulatedClock("2026-03-02T10:00:00Z");
  const store = await openStore({ path, mode: "inline" });
  const audit = createAudit({ store, clock, ...keys });
  await audit.record({ kind: "mesh.started", subject: "mesh", detail: {} });
  await audit.close();
  await store.close();
  const verdict = await verdictAfter(path, () => {});
  assert.equal(verdict.ok && verdict.records, RECORDS + 1);

  await verdictAfter(path, (db) => asRows(db, () => db.exec(`DELETE FROM audit WHERE seq = ${RECORDS + 1}`)));
  const cut = await openStore({ path, mode: "inline" });
  t.after(() => cut.close());
  assert.throws(() => createAudit({ store: cut, clock, ...keys }), /not the end that was sealed.*audit verify/);
});

test("evidence that is gone altogether is missed wherever there is something that it must have recorded", async (t) => {
  const wipe = "DELETE FROM audit; DELETE FROM audit_segment; DELETE FROM audit_head; DELETE FROM audit_checkpoint;";
  const agent = "INSERT INTO agent VALUES ('agt_1', 'default', 'a', 1, 0, 'running', NULL);";
  const credential =
    "INSERT INTO credential (tenant, name, version, wrapped_key, sealed_value, created_at_ms, uses, revoked) VALUES ('default', 'c', 1, x'', x'', 1, 0, 1);";
  for (const [rest, found] of [
    ["", false],
    [agent, true],
    [credential, true],
  ] as const) {
    const path = await chain(t);
    const verdict = await verdictAfter(path, (db) => db.exec(wipe + rest));
    assert.equal(verdict.ok, !found);
    if (found) assertFound(verdict, 1, /^missing: the state has agents or credentials/);
    const store = await openStore({ path, mode: "inline" });
    t.after(() => store.close());
    const start = () => createAudit({ store, clock: new SimulatedClock("2026-03-02T10:00:00Z"), ...keys });
    if (found) assert.throws(start, /not the end that was sealed/);
    else assert.equal(start().head().seq, 0);
  }
});

test("a checkpoint that is removed is missed by the seal, long before the next is due", async (t) => {
  const path = await chain(t);
  assertFound(await attempt(path, "DELETE FROM audit_checkpoint"), RECORDS, /^the seal of the last record is wrong/);
});

test("a last record whose fields were changed is not gone on from", async (t) => {
  const path = await chain(t);
  const change = `UPDATE audit SET detail = '{"number":99}' WHERE seq = ${RECORDS}`;
  await verdictAfter(path, (db) => asRows(db, () => db.exec(change)));
  const store = await openStore({ path, mode: "inline" });
  t.after(() => store.close());
  const clock = new SimulatedClock("2026-03-02T10:00:00Z");
  assert.throws(() => createAudit({ store, clock, ...keys }), /not the end that was sealed/);
});

test("a quiet chain is signed five seconds after its last record", async (t) => {
  const path = stateFolder(t);
  const clock = new SimulatedClock("2026-03-01T10:00:00Z");
  const store = await openStore({ path, mode: "inline" });
  t.after(() => store.close());
  const audit = createAudit({ store, clock, ...keys });
  await audit.record({ kind: "mesh.started", subject: "mesh", detail: {} });
  assert.equal(store.query.audit.extent().lastCheckpointSeq, null);
  clock.pass(limits.audit.checkpointIntervalMs);
  await new Promise((resolve) => setImmediate(resolve));
  await store.commit([]);
  assert.equal(store.query.audit.extent().lastCheckpointSeq, 1);
});

test("an event that is not evidence is refused and moves nothing: secrets, other objects, size, form", async (t) => {
  const path = stateFolder(t);
  const store = await openStore({ path, mode: "inline" });
  t.after(() => store.close());
  const audit = createAudit({ store, clock: new SimulatedClock("2026-03-01T10:00:00Z"), ...keys });
  const secret = new Secret(new Uint8Array([1]));
  const details: unknown[] = [
    { key: secret },
    { deep: [{ key: secret }] },
    { at: new Date(0) },
    { n: NaN },
    { u: undefined },
    { text: "x".repeat(limits.audit.detailBytesMax) },
  ];
  for (const detail of details) {
    await assert.rejects(audit.record({ kind: "a", subject: "mesh", detail: detail as never }), InvariantError);
  }
  await assert.rejects(audit.record({ kind: "A b", subject: "mesh", detail: {} }), InvariantError);
  await assert.rejects(audit.record({ kind: "a", subject: "someone", detail: {} }), InvariantError);
  assert.equal(audit.head().seq, 0);
  await audit.record({ kind: "a", subject: "mesh", detail: { fine: true } });
  assert.equal(store.query.audit.last()?.detail, '{"fine":true}');
  await audit.close();
});

test("a character that moves from one field to the next is found", async (t) => {
  for (const old of OLD) {
    const path = await chain(t, RECORDS, old);
    const sql = `UPDATE audit SET kind = kind || substr(subject, 1, 1), subject = substr(subject, 2) WHERE seq = 4`;
    assertFound(await attempt(path, sql), 4, /altered/);
  }
});
