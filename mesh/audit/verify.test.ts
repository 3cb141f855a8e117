import assert from "node:assert/strict";
import { generateKeyPairSync, sign } from "node:crypto";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, test } from "node:test";
import { systemClock as clock } from "../../lib/clock.ts";
import { Secret } from "../../lib/redact.ts";
import { openReadOnly, openStore } from "../store/open.ts";
import { createAudit } from "./create.ts";
import { verifyAudit } from "./verify.ts";

const folder = mkdtempSync(join(tmpdir(), "cordon-verify-"));
after(() => rmSync(folder, { recursive: true }));
const { privateKey, publicKey } = generateKeyPairSync("ed25519");
const signer = {
  sign: (bytes: Uint8Array) => sign(null, bytes, privateKey),
  publicKey: publicKey.export({ format: "der", type: "spki" }),
};
const macKey = new Secret(new Uint8Array(32).fill(7));
const state = join(folder, "state");

before(async () => {
  const store = await openStore({ path: state, mode: "inline" });
  const audit = createAudit({ store, clock, signer, macKey });
  for (let n = 1; n <= 3; n++)
    await Promise.all(
      ["a", "b"].map((word) => audit.record({ kind: "decision", subject: "mesh", detail: { n, word } })),
    );
  await audit.close();
  await store.close();
});

let copies = 0;
async function verdictAfter(sql: string) {
  const path = join(folder, `copy-${++copies}`);
  cpSync(state, path, { recursive: true });
  const db = new DatabaseSync(join(path, "cordon.sqlite"));
  db.exec(sql);
  db.close();
  const reader = openReadOnly(path);
  try {
    // Whatever is there can be looked at.
    reader.query.audit.page(0, 100);
    return await verifyAudit(reader.query, { publicKey: signer.publicKey, macKey });
  } finally {
    reader.close();
  }
}

test("what was not touched holds", async () => {
  const verdict = await verdictAfter("SELECT 1");
  assert.deepEqual([verdict.ok, verdict.records], [true, 6]);
});

const LOWEST = "(-9223372036854775807 - 1)";
const record = "1, 'decision', 'mesh', '{}', zeroblob(32)";
const segment = "zeroblob(32), '1 decision mesh {}'";

/** Numbers that the file can hold and JavaScript cannot. */
for (const far of [LOWEST, "9007199254740993"]) {
  const attempts: Readonly<Record<string, string>> = {
    "a record": `INSERT INTO audit VALUES (${far}, ${record})`,
    "a segment": `INSERT INTO audit_segment VALUES (${far}, ${far}, ${segment})`,
    "the end of a segment": `UPDATE audit_segment SET last = ${far} WHERE first = 3`,
    "the end of the last segment": `UPDATE audit_segment SET last = ${far} WHERE first = 5`,
    "the time of a record": `INSERT INTO audit VALUES (7, ${far}, 'decision', 'mesh', '{}', zeroblob(32))`,
    "the seal": `UPDATE audit_head SET seq = ${far}`,
    "a checkpoint": `INSERT INTO audit_checkpoint VALUES (${far}, zeroblob(32), 1, zeroblob(64))`,
    "the time of a checkpoint": `UPDATE audit_checkpoint SET at_ms = ${far}`,
  };
  for (const [what, sql] of Object.entries(attempts)) {
    test(`${what} with the number ${far} is found`, async () => {
      const verdict = await verdictAfter(sql);
      assert.ok(!verdict.ok, JSON.stringify(verdict));
    });
  }
}
