import { createSecretKey } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { genesisHash, headMac, recordHash } from "../../../mesh/audit/chain.ts";
import { openKey } from "../../../mesh/commands/state-key.ts";
import { openStore } from "../../../mesh/store/open.ts";
import { statements } from "../../../mesh/store/statements.ts";

/** A state with a past: totals of old days, and a sealed chain of as many records. */
export async function withPast(folder: string, rows: number): Promise<void> {
  const path = join(folder, "state");
  mkdirSync(path, { mode: 0o700 });
  const store = await openStore({ path });
  const { auditMac } = await openKey(store, path);
  await store.close();
  const db = new DatabaseSync(join(path, "cordon.sqlite"));
  db.exec(`PRAGMA synchronous = OFF; BEGIN;
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${rows})
      INSERT INTO budget_total SELECT 'agent:a' || (i % 10), 'day', (i / 10) * 86400, i, 0, i, 0, i, 0, 0, 0 FROM n`);
  const insert = db.prepare(statements["audit.insert"]);
  const detail = '{"hold":"hold_abcdefghijkmnpqrstuvwxyz"}';
  let hash = genesisHash;
  for (let seq = 1; seq <= rows; seq++) {
    hash = recordHash(hash, { seq, atMs: seq, kind: "decision", subject: "agent:a1", detail });
    insert.run(seq, seq, "decision", "agent:a1", detail, hash);
  }
  const key = auditMac.reveal((bytes) => createSecretKey(bytes));
  db.prepare(statements["audit.setHead"]).run(rows, hash, headMac(key, rows, hash, { count: 0, lastSeq: 0 }));
  db.exec("COMMIT");
  db.close();
}
