import { createHmac, hash as digest, timingSafeEqual, verify, type KeyObject } from "node:crypto";
import { Utf8Text } from "../store/utf8-text.ts";

/** What is chained; `detail` is canonical JSON. */
export interface AuditRecord {
  readonly seq: number;
  readonly atMs: number;
  readonly kind: string;
  readonly subject: string;
  readonly detail: string;
}

/** Ed25519 (RFC 8032). `publicKey` is a SubjectPublicKeyInfo in DER (RFC 8410). */
export interface AuditSigner {
  sign(bytes: Uint8Array): Uint8Array;
  readonly publicKey: Uint8Array;
}

/** Stands before the first record. */
export const genesisHash: Uint8Array = sha256("cordon.audit.v1");

/** Of a record in the form in which it is stored. */
export const hashOf = (previous: Uint8Array, record: AuditRecord & { readonly line?: string }): Uint8Array =>
  record.line === undefined ? recordHash(previous, record) : lineHash(previous, record.seq, record.line);

/** SHA-256(previous hash ‖ seq ‖ a space ‖ line), of a record in a segment: the line is what is stored. */
export const lineHash = (previous: Uint8Array, seq: number, line: string): Uint8Array =>
  hashAfter(previous, `${seq} ${line}`);

/** A hash as text of one byte a character: to make an object of bytes costs as much as to hash. */
export const hashOfText = (text: Uint8Array): string => digest("sha256", text, "latin1");

export const bytesOf = (text: string): Uint8Array => Buffer.from(text, "latin1");
export const textOf = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");

/**
 * Of a record that is a row of its own: SHA-256(previous hash ‖ every field with its length before it), so that no two
 * records give the same bytes; nor do one of either form, as a colon is no space.
 */
export function recordHash(previous: Uint8Array, record: AuditRecord): Uint8Array {
  const text =
    field(String(record.seq)) +
    field(String(record.atMs)) +
    field(record.kind) +
    field(record.subject) +
    field(record.detail);
  return hashAfter(previous, text);
}

function hashAfter(previous: Uint8Array, text: string): Uint8Array {
  scratch.cut(0);
  scratch.put(previous);
  scratch.text(text);
  return digest("sha256", scratch.view(), "buffer");
}

/** The same for each record: most are a few hundred bytes. */
const scratch = new Utf8Text();

const field = (text: string): string => `${Buffer.byteLength(text)}:${text}`;

/** How many checkpoints stand, and the record that the last one signs (0 = none). */
export interface Signed {
  readonly count: number;
  readonly lastSeq: number;
}

/** Proves to the holder of the key that the chain ends at `seq`, and which checkpoints stand beside it. */
export const headMac = (key: KeyObject, seq: number, hash: Uint8Array, signed: Signed): Uint8Array =>
  createHmac("sha256", key)
    .update(`cordon.audit.head.v1:${seq}:${signed.count}:${signed.lastSeq}:`)
    .update(hash)
    .digest();

/** What a checkpoint signs. */
export function checkpointBytes(seq: number, hash: Uint8Array, atMs: number): Uint8Array {
  return Buffer.concat([Buffer.from(`cordon.audit.checkpoint.v1:${seq}:${atMs}:`), hash]);
}

/** False also for a key or a signature of a wrong form. */
export function checkpointSigned(publicKey: KeyObject, bytes: Uint8Array, signature: Uint8Array): boolean {
  try {
    return verify(null, bytes, publicKey, signature);
  } catch {
    return false;
  }
}

export const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && timingSafeEqual(a, b);

function sha256(text: string): Uint8Array {
  return digest("sha256", text, "buffer");
}
