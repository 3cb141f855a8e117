/** What somebody with write access to the database, but without the key, can do to the evidence. */
import { generateKeyPairSync, sign } from "node:crypto";
import type { DatabaseSync } from "node:sqlite";
import { checkpointBytes, genesisHash, lineHash } from "../../../mesh/audit/chain.ts";
import { asRows, lineOf, rowsOf } from "../../simulation/audit-forms.ts";

export interface Extent {
  /** Seq of the last record. */
  readonly last: number;
  /** Seqs of the checkpoints, ascending; the last one signs the last record. */
  readonly checkpoints: readonly number[];
}

export interface Attempt {
  tamper(db: DatabaseSync): void;
  /** The first position that cannot be trusted any more, and what is said of it. */
  readonly badSeq: number;
  readonly fault: RegExp;
  /** The end of the chain is touched: a mesh must not go on from it. */
  readonly end?: true;
}

const rows =
  (change: Attempt["tamper"]): Attempt["tamper"] =>
  (db) =>
    asRows(db, change);
const sql = (text: string): Attempt["tamper"] => rows((db) => db.exec(text));

const flips: Readonly<Record<string, string>> = {
  at_ms: "at_ms = at_ms + 1",
  kind: "kind = 'x' || substr(kind, 2)",
  subject: "subject = substr(subject, 1, length(subject) - 1) || '~'",
  detail: "detail = substr(detail, 1, length(detail) - 1) || ' '",
  hash: "hash = CAST(substr(hash, 1, 31) || CASE WHEN substr(hash, 32) = x'00' THEN x'01' ELSE x'00' END AS BLOB)",
};

/** One byte of each field of each of `seqs`. */
export function flipped(seqs: readonly number[], last: number): Record<string, Attempt> {
  return Object.fromEntries(
    seqs.flatMap((seq) =>
      Object.entries(flips).map(([field, change]) => [
        `${field} of record ${seq}`,
        {
          tamper: sql(`UPDATE audit SET ${change} WHERE seq = ${seq}`),
          badSeq: seq,
          fault: /^altered/,
          // The start compares the hash of the last record with the seal; the rest is what verifying is for.
          ...(seq === last && field === "hash" ? { end: true } : {}),
        },
      ]),
    ),
  );
}

/** Records dropped, moved and put in. */
export function moved({ last }: Extent): Record<string, Attempt> {
  const middle = Math.floor(last / 2);
  const up = (from: number): string =>
    `UPDATE audit SET seq = -seq - 1 WHERE seq >= ${from}; UPDATE audit SET seq = -seq WHERE seq < 0;`;
  const swap = (a: number, b: number): string =>
    `UPDATE audit SET seq = -1 WHERE seq = ${a}; UPDATE audit SET seq = ${a} WHERE seq = ${b}; UPDATE audit SET seq = ${b} WHERE seq = -1`;
  const copy = (from: number, to: number): string =>
    `INSERT INTO audit SELECT ${to}, at_ms, kind, subject, detail, hash FROM audit WHERE seq = ${from}`;
  const dropLast = `DELETE FROM audit WHERE seq = ${last};`;
  return {
    "the first dropped": { tamper: sql("DELETE FROM audit WHERE seq = 1"), badSeq: 1, fault: /^missing/ },
    "one in the middle dropped": {
      tamper: sql(`DELETE FROM audit WHERE seq = ${middle}`),
      badSeq: middle,
      fault: /^missing/,
    },
    "a hundred dropped": {
      tamper: sql(`DELETE FROM audit WHERE seq BETWEEN ${middle} AND ${middle + 99}`),
      badSeq: middle,
      fault: new RegExp(`^missing: records ${middle} to ${middle + 99}`),
    },
    "one dropped, the rest moved up": {
      tamper: sql(`DELETE FROM audit WHERE seq = ${middle}; UPDATE audit SET seq = -seq + 1 WHERE seq > ${middle};
        UPDATE audit SET seq = -seq WHERE seq < 0`),
      badSeq: middle,
      fault: /^altered/,
    },
    "the last dropped": { tamper: sql(dropLast), badSeq: last, fault: /^tail dropped/, end: true },
    "the last dropped, with its seal": {
      tamper: sql(`${dropLast} DELETE FROM audit_head`),
      badSeq: last,
      fault: /^tail dropped/,
      end: true,
    },
    "the last dropped, with its checkpoint": {
      tamper: sql(`${dropLast} DELETE FROM audit_checkpoint WHERE seq = ${last}`),
      badSeq: last,
      fault: /^tail dropped/,
      end: true,
    },
    "the last dropped, with its seal and its checkpoint": {
      tamper: sql(`${dropLast} DELETE FROM audit_head; DELETE FROM audit_checkpoint WHERE seq = ${last}`),
      badSeq: last - 1,
      fault: /^the seal of the last record is missing/,
      end: true,
    },
    "the last dropped, the seal set back": {
      tamper: sql(`${dropLast} DELETE FROM audit_checkpoint WHERE seq = ${last};
        UPDATE audit_head SET seq = ${last - 1}, hash = (SELECT hash FROM audit WHERE seq = ${last - 1})`),
      badSeq: last - 1,
      fault: /^the seal of the last record is wrong/,
      end: true,
    },
    "two neighbours swapped": { tamper: sql(swap(middle, middle + 1)), badSeq: middle, fault: /^reordered/ },
    "two far apart swapped": { tamper: sql(swap(3, middle)), badSeq: 3, fault: new RegExp(`^reordered.* ${middle}$`) },
    "one put in": {
      tamper: sql(`${up(middle)} ${copy(3, middle)}`),
      badSeq: middle,
      fault: new RegExp(`^inserted: the true record stands at ${middle + 1}`),
    },
    "one put in before the first": { tamper: sql(copy(3, 0)), badSeq: 0, fault: /^inserted/ },
    "one put in after the last": {
      tamper: rows((db) => append(db, last)),
      badSeq: last + 1,
      fault: /^inserted: it stands after the sealed end/,
      end: true,
    },
  };
}

/** Proofs changed or removed, and a chain that was calculated anew. */
export function unproved({ last, checkpoints }: Extent): Record<string, Attempt> {
  const middle = Math.floor(last / 2);
  const signedAfter = checkpoints.find((seq) => seq >= middle) ?? last;
  const first = checkpoints[0] ?? 0;
  const wrongSeal = /^the seal of the last record is wrong/;
  return {
    "a signature replaced": {
      tamper: sql(`UPDATE audit_checkpoint SET signature = zeroblob(64) WHERE seq = ${first}`),
      badSeq: first,
      fault: /^checkpoint broken/,
    },
    "a signature of another checkpoint": {
      tamper: sql(`UPDATE audit_checkpoint SET signature = (SELECT signature FROM audit_checkpoint WHERE seq = ${last})
        WHERE seq = ${first}`),
      badSeq: first,
      fault: /^checkpoint broken/,
    },
    "every checkpoint removed": {
      tamper: sql("DELETE FROM audit_checkpoint"),
      badSeq: 1_000,
      fault: /^checkpoint broken: the one that is due here is missing/,
    },
    "the seal removed": {
      tamper: sql("DELETE FROM audit_head"),
      badSeq: last,
      fault: /^the seal of the last record is missing/,
      end: true,
    },
    "the seal's proof replaced": {
      tamper: sql("UPDATE audit_head SET mac = zeroblob(32)"),
      badSeq: last,
      fault: wrongSeal,
      end: true,
    },
    "calculated anew from a changed record": {
      tamper: rows((db) => rechain(db, middle)),
      badSeq: signedAfter,
      fault: /^checkpoint broken/,
      end: true,
    },
    "calculated anew, the later checkpoints removed": {
      tamper: rows((db) => {
        rechain(db, last - 5);
        db.exec(`DELETE FROM audit_checkpoint WHERE seq >= ${last - 5}`);
      }),
      badSeq: last,
      fault: wrongSeal,
      end: true,
    },
    "calculated anew and signed with a key of one's own": {
      tamper: rows((db) => {
        rechain(db, middle);
        resign(db);
      }),
      badSeq: first,
      fault: /^checkpoint broken/,
      end: true,
    },
  };
}

/** Makes the chain fit again from the record `from`, which says something else now; the seal's hash, too. */
function rechain(db: DatabaseSync, from: number): void {
  db.exec(`UPDATE audit SET detail = '{"allow":true}' WHERE seq = ${from}`);
  let hash = genesisHash;
  const update = db.prepare("UPDATE audit SET hash = ? WHERE seq = ?");
  for (const row of rowsOf(db)) {
    hash = lineHash(hash, row.seq, lineOf(row));
    if (row.seq >= from) update.run(hash, row.seq);
  }
  db.prepare("UPDATE audit_head SET hash = ?").run(hash);
}

function resign(db: DatabaseSync): void {
  const { privateKey } = generateKeyPairSync("ed25519");
  const hashes = new Map(rowsOf(db).map((row) => [row.seq, row.hash]));
  const update = db.prepare("UPDATE audit_checkpoint SET hash = ?, signature = ? WHERE seq = ?");
  for (const { seq, at } of db.prepare("SELECT seq, at_ms AS at FROM audit_checkpoint").all() as unknown as {
    seq: number;
    at: number;
  }[]) {
    const hash = hashes.get(seq) ?? genesisHash;
    update.run(hash, sign(null, checkpointBytes(seq, hash, at), privateKey), seq);
  }
}

/** One more record in good form, which the mesh has never written. */
function append(db: DatabaseSync, last: number): void {
  const previous = rowsOf(db).at(-1)?.hash ?? genesisHash;
  const record = { seq: last + 1, atMs: 1, kind: "operator.exec", subject: "principal:operator", detail: "{}" };
  db.prepare("INSERT INTO audit (seq, at_ms, kind, subject, detail, hash) VALUES (?, ?, ?, ?, ?, ?)").run(
    ...[record.seq, record.atMs, record.kind, record.subject, record.detail],
    lineHash(previous, record.seq, lineOf(record)),
  );
}
