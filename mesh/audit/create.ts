import { createSecretKey, type KeyObject } from "node:crypto";
import type { Clock } from "../../lib/clock.ts";
import type { Secret } from "../../lib/redact.ts";
import { Utf8Text } from "../store/utf8-text.ts";
import { limits } from "../../protocol/limits.ts";
import { StoreFailure, type Row, type Store, type Write } from "../store/store.ts";
import type { Audit, AuditEvent } from "./audit.ts";
import type { AuditRecordRow } from "../store/tables/audit.ts";
import { robbed } from "./beginning.ts";
import {
  bytesOf,
  checkpointBytes,
  genesisHash,
  hashOf,
  hashOfText,
  headMac,
  sameBytes,
  textOf,
  type AuditSigner,
  type Signed,
} from "./chain.ts";
import { writeEvent } from "./event.ts";
import { Segments } from "./segments.ts";

const NONE: readonly Write[] = [];
const SPACE = 0x20;
const DONE = Promise.resolve();

export interface AuditParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly signer: AuditSigner;
  /** 32 bytes or more; the same at every start. */
  readonly macKey: Secret;
}

export interface OpenAudit extends Audit {
  /** The last record that was chained, also when it is still on its way to the disk. */
  head(): { readonly seq: number; readonly hash: Uint8Array };
  /** Signs the head if it is not signed yet, and stops the timer. Call it before the store is closed. */
  close(): Promise<void>;
}

/** Goes on from the chain in the store. Throws StoreFailure (`corrupt`) when its end is not the one that was sealed. */
export function createAudit({ store, clock, signer, macKey }: AuditParts): OpenAudit {
  const key = macKey.reveal((bytes) => createSecretKey(bytes));
  let { seq, hash, signed } = textual(sealedHead(store, key));
  let timer: AbortController | undefined;
  let closed = false;

  const seal = (): Row => ["audit.setHead", seq, bytesOf(hash), headMac(key, seq, bytesOf(hash), signed)];

  /** One seal a transaction, over the last of its records: those before it in the same one would be replaced. */
  let unsealed = false;
  const segments = new Segments();
  /** What the next hash is over; its line is what is stored (`lineHash`, `recordsOf`). */
  const next = new Utf8Text();
  store.sealWith(() => {
    if (!unsealed) return [];
    unsealed = false;
    return [...segments.rows(), seal()];
  });

  /** The seal knows its checkpoints, so each comes with a new one. */
  const checkpoint = (): Row[] => {
    const atMs = clock.nowMs();
    signed = { count: signed.count + 1, lastSeq: seq };
    unsealed = true;
    const bytes = bytesOf(hash);
    return [["audit.insertCheckpoint", seq, bytes, atMs, signer.sign(checkpointBytes(seq, bytes, atMs))]];
  };

  /** One sleep at a time: the head is signed at most `checkpointIntervalMs` after the record that moved it. */
  const signLater = (): void => {
    if (timer || closed) return;
    timer = new AbortController();
    clock.sleep(limits.audit.checkpointIntervalMs, timer.signal).then(
      () => {
        timer = undefined;
        // A failure of the store is told through store.failed.
        if (!closed && signed.lastSeq < seq) store.commit(checkpoint()).catch(() => {});
      },
      () => {},
    );
  };

  /** The record follows from the last one, and goes with the transaction of `writes`; returned is what else goes there. */
  const chained = (event: AuditEvent, writes: readonly Write[]): readonly Write[] => {
    next.cut(0);
    next.latin1(hash);
    next.number(seq + 1);
    next.byte(SPACE);
    const line = next.length;
    next.number(clock.nowMs());
    writeEvent(next, event);
    seq++;
    hash = hashOfText(next.view());
    segments.add(seq, next, line, hash);
    unsealed = true;
    if (seq - signed.lastSeq >= limits.audit.checkpointRecordsMax) return [...writes, ...checkpoint()];
    signLater();
    return writes;
  };

  return {
    record: (event, writes = NONE, when) => {
      let rows: readonly Write[];
      try {
        rows = chained(event, writes);
      } catch (error) {
        return Promise.reject(error);
      }
      if (when !== "later") return store.commit(rows);
      store.commitLater(rows);
      return DONE;
    },
    head: () => ({ seq, hash: bytesOf(hash) }),
    close: async () => {
      if (closed) return;
      closed = true;
      timer?.abort();
      if (signed.lastSeq < seq) await store.commit(checkpoint());
    },
  };
}

const textual = ({ hash, ...more }: ReturnType<typeof sealedHead>) => ({ ...more, hash: textOf(hash) });

function sealedHead(store: Store, key: KeyObject): { seq: number; hash: Uint8Array; signed: Signed } {
  const {
    lastSeq,
    lastCheckpointSeq,
    checkpointCount,
    headSeq,
    headHash,
    headMac: sealed,
  } = store.query.audit.extent();
  const signed = { count: checkpointCount, lastSeq: lastCheckpointSeq ?? 0 };
  if (lastSeq === null && headSeq === null && !robbed(store.query)) return { seq: 0, hash: genesisHash, signed };
  const [last, before] = lastTwo(store);
  const whole =
    last &&
    headSeq === last.seq &&
    headHash &&
    sealed &&
    sameBytes(hashOf(before?.hash ?? genesisHash, last), last.hash) &&
    sameBytes(headHash, last.hash) &&
    sameBytes(sealed, headMac(key, last.seq, last.hash, signed));
  if (whole) return { seq: last.seq, hash: last.hash, signed };
  throw new StoreFailure(
    "corrupt",
    `audit ends at record ${lastSeq ?? 0}, which is not the end that was sealed: ` +
      "run `cordon audit verify` to find what was changed, then put back a backup or start with an empty state",
  );
}

function lastTwo(store: Store): readonly (AuditRecordRow | undefined)[] {
  const last = store.query.audit.last();
  return last ? [last, store.query.audit.page(last.seq - 2, 2).find((row) => row.seq === last.seq - 1)] : [];
}
