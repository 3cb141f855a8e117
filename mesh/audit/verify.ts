import { createPublicKey, createSecretKey, type KeyObject } from "node:crypto";
import type { Secret } from "../../lib/redact.ts";
import type { AuditVerdict } from "../../protocol/desk.ts";
import { limits } from "../../protocol/limits.ts";
import type { Queries } from "../store/queries.ts";
import type { AuditCheckpointRow, AuditRecordRow } from "../store/tables/audit.ts";
import { robbed } from "./beginning.ts";
import { checkpointBytes, checkpointSigned, genesisHash, hashOf, headMac, sameBytes, type Signed } from "./chain.ts";
import { explain } from "./explain.ts";
import { StoredRecords } from "./stored.ts";

export interface VerifyKeys {
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array;
  /** Without it the end of the chain is compared with its seal, but the seal itself is not proved. */
  readonly macKey?: Secret;
}

type AuditQueries = Pick<Queries, "audit" | "agents" | "credentials">;
type Fault = { readonly badSeq: number; readonly fault: string };

const PAGE_ROWS = 500;

/** Reads the whole chain, a page at a time, and names the first position that does not hold. Safe on a running mesh. */
export async function verifyAudit(query: AuditQueries, keys: VerifyKeys): Promise<AuditVerdict> {
  const publicKey = createPublicKey({ key: Buffer.from(keys.publicKey), format: "der", type: "spki" });
  const extent = query.audit.extent();
  const end = extent.lastSeq ?? 0;
  const checkpoints = new Checkpoints(query, publicKey, extent.lastCheckpointSeq ?? 0);
  let seq = 0;
  let hash = genesisHash;
  const bad = (fault: Fault): AuditVerdict => ({ ok: false, records: seq, ...fault });
  if (robbed(query)) return bad({ badSeq: 1, fault: "missing: the state has agents or credentials, and no record" });

  const stored = new StoredRecords(query);
  for (let sincePause = 0; ;) {
    const rows = stored.next();
    const [first] = rows;
    // What begins beyond the end was appended since.
    if (!first || first.seq > end) break;
    for (const row of rows) {
      if (row.seq !== seq + 1 || !sameBytes(hashOf(hash, row), row.hash)) {
        return bad({ badSeq: Math.min(row.seq, seq + 1), fault: explain(query, row, seq, hash) });
      }
      ({ seq, hash } = row);
      const fault = checkpoints.check(row);
      if (fault) return bad(fault);
    }
    sincePause += rows.length;
    if (sincePause < PAGE_ROWS) continue;
    sincePause = 0;
    // Other work of the process goes on between two pages.
    await new Promise((resolve) => setImmediate(resolve));
  }
  const fault = checkpoints.beyond(seq) ?? sealFault(extent, seq, hash, checkpoints.signed, keys.macKey);
  if (fault) return bad(fault);
  return { ok: true, records: seq, checkpoints: checkpoints.count, head: Buffer.from(hash).toString("hex") };
}

/** Walks the checkpoints beside the records. */
class Checkpoints {
  count = 0;
  readonly #query: AuditQueries;
  readonly #publicKey: KeyObject;
  readonly #lastSeq: number;
  #page: AuditCheckpointRow[] = [];
  #after = -Infinity;
  #signedSeq = 0;

  constructor(query: AuditQueries, publicKey: KeyObject, lastSeq: number) {
    this.#query = query;
    this.#publicKey = publicKey;
    this.#lastSeq = lastSeq;
  }

  check(record: AuditRecordRow): Fault | undefined {
    const next = this.#next();
    if (next && next.seq <= record.seq) {
      const good = next.seq === record.seq && sameBytes(next.hash, record.hash) && this.#signed(next);
      if (!good) return { badSeq: next.seq, fault: "checkpoint broken: its hash or its signature is wrong" };
      this.#page.shift();
      this.#signedSeq = next.seq;
      this.count++;
    }
    if (record.seq - this.#signedSeq < limits.audit.checkpointRecordsMax) return undefined;
    return { badSeq: record.seq, fault: "checkpoint broken: the one that is due here is missing" };
  }

  beyond(lastRecord: number): Fault | undefined {
    if (!this.#next()) return undefined;
    return { badSeq: lastRecord + 1, fault: "tail dropped: a checkpoint signs a later record" };
  }

  get signed(): Signed {
    return { count: this.count, lastSeq: this.#signedSeq };
  }

  #signed({ seq, hash, atMs, signature }: AuditCheckpointRow): boolean {
    return checkpointSigned(this.#publicKey, checkpointBytes(seq, hash, atMs), signature);
  }

  #next(): AuditCheckpointRow | undefined {
    if (this.#page.length === 0) {
      this.#page = this.#query.audit.checkpoints(this.#after, PAGE_ROWS).filter((row) => row.seq <= this.#lastSeq);
      this.#after = this.#page.at(-1)?.seq ?? this.#after;
    }
    return this.#page[0];
  }
}

function sealFault(
  { headSeq, headHash, headMac: sealed }: ReturnType<Queries["audit"]["extent"]>,
  seq: number,
  hash: Uint8Array,
  signed: Signed,
  macKey: Secret | undefined,
): Fault | undefined {
  if (seq === 0 && headSeq === null) return undefined;
  if (headSeq === null || !headHash || !sealed) return { badSeq: seq, fault: "the seal of the last record is missing" };
  if (headSeq > seq) return { badSeq: seq + 1, fault: `tail dropped: the seal is that of record ${headSeq}` };
  if (headSeq < seq) return { badSeq: headSeq + 1, fault: "inserted: it stands after the sealed end" };
  const key = macKey?.reveal((bytes) => createSecretKey(bytes));
  if (sameBytes(headHash, hash) && (!key || sameBytes(sealed, headMac(key, seq, hash, signed)))) return undefined;
  return { badSeq: seq, fault: "the seal of the last record is wrong, or a checkpoint is missing" };
}
