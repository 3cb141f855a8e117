import { createSecretKey } from "node:crypto";
import type { Clock } from "../../lib/clock.ts";
import type { Secret } from "../../lib/redact.ts";
import { limits } from "../../protocol/limits.ts";
import { StoreFailure, type Store, type Write } from "../store/store.ts";
import type { Audit } from "./audit.ts";
import { checkpointBytes, genesisHash, headMac, recordHash, sameBytes, type AuditSigner } from "./chain.ts";
import { canonicalDetail } from "./event.ts";

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
  let { seq, hash } = sealedHead(store, (at, over) => headMac(key, at, over));
  let signedSeq = store.query.audit.extent().lastCheckpointSeq ?? 0;
  let timer: AbortController | undefined;
  let closed = false;

  const checkpoint = (): Write => {
    const atMs = clock.nowMs();
    signedSeq = seq;
    return ["audit.insertCheckpoint", seq, hash, atMs, signer.sign(checkpointBytes(seq, hash, atMs))];
  };

  /** One sleep at a time: the head is signed at most `checkpointIntervalMs` after the record that moved it. */
  const signLater = (): void => {
    if (timer || closed) return;
    timer = new AbortController();
    clock.sleep(limits.audit.checkpointIntervalMs, timer.signal).then(
      () => {
        timer = undefined;
        // A failure of the store is told through store.failed.
        if (!closed && signedSeq < seq) store.commit([checkpoint()]).catch(() => {});
      },
      () => {},
    );
  };

  return {
    record: async (event, writes = []) => {
      const record = {
        seq: seq + 1,
        atMs: clock.nowMs(),
        kind: event.kind,
        subject: event.subject,
        detail: canonicalDetail(event),
      };
      hash = recordHash(hash, record);
      seq = record.seq;
      const rows: Write[] = [
        ...writes,
        ["audit.insert", seq, record.atMs, record.kind, record.subject, record.detail, hash],
        ["audit.setHead", seq, hash, headMac(key, seq, hash)],
      ];
      if (seq - signedSeq >= limits.audit.checkpointRecordsMax) rows.push(checkpoint());
      else signLater();
      await store.commit(rows);
    },
    head: () => ({ seq, hash }),
    close: async () => {
      if (closed) return;
      closed = true;
      timer?.abort();
      if (signedSeq < seq) await store.commit([checkpoint()]);
    },
  };
}

function sealedHead(store: Store, mac: (seq: number, hash: Uint8Array) => Uint8Array) {
  const { lastSeq, headSeq, headHash, headMac: sealed } = store.query.audit.extent();
  if (lastSeq === null && headSeq === null) return { seq: 0, hash: genesisHash };
  const last = store.query.audit.last();
  const whole =
    last &&
    headSeq === last.seq &&
    headHash &&
    sealed &&
    sameBytes(headHash, last.hash) &&
    sameBytes(sealed, mac(last.seq, last.hash));
  if (whole) return { seq: last.seq, hash: last.hash };
  throw new StoreFailure(
    "corrupt",
    `audit ends at record ${lastSeq ?? 0}, which is not the end that was sealed: ` +
      "run `cordon audit verify` to find what was changed, then put back a backup or start with an empty state",
  );
}
