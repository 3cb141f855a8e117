/**
 * A key file that opens with a key which a server keeps wrapped (the transit engine of HashiCorp Vault and OpenBao): who
 * has the file alone, or the server's answer alone, has nothing.
 */
import { timingSafeEqual } from "node:crypto";
import { parseJson } from "../../lib/json.ts";
import type { Secret } from "../../lib/redact.ts";

/** Where the key that opens the file is, and in what form. Nothing of it is secret. */
export interface WrappedKey {
  /** Of the server, without `/v1`. */
  readonly address: string;
  /** Where the engine is mounted. */
  readonly mount: string;
  /** Name of the key in the engine. */
  readonly key: string;
  readonly namespace: string | null;
  /** Certificates in PEM that the server may be trusted by, besides the system's. */
  readonly ca: string | null;
  /** As the server wrote it: `vault:v1:…`. */
  readonly ciphertext: string;
}

/** First bytes of such a file. */
const MAGIC = Buffer.from("cordon-key/transit/1\n");
const LENGTH_BYTES = 4;
export const WRAPPED_HEAD_BYTES_MAX = 64 * 1024;

/** Magic ‖ length of the JSON (4 bytes) ‖ JSON: the box of the master key is bound to all of it. */
export function wrappedHead({ address, mount, key, namespace, ca, ciphertext }: WrappedKey): Buffer {
  const json = Buffer.from(JSON.stringify({ address, mount, key, namespace, ca, ciphertext }));
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32BE(json.length);
  const head = Buffer.concat([MAGIC, length, json]);
  if (head.length > WRAPPED_HEAD_BYTES_MAX) throw new RangeError("the certificates are too long");
  return head;
}

export const isWrapped = (bytes: Uint8Array): boolean => MAGIC.equals(bytes.subarray(0, MAGIC.length));

/** Undefined: it is damaged. */
export function readWrapped(bytes: Buffer): { readonly head: Buffer; readonly wrapped: WrappedKey } | undefined {
  const start = MAGIC.length + LENGTH_BYTES;
  if (!isWrapped(bytes) || bytes.length < start) return undefined;
  const end = start + bytes.readUInt32BE(MAGIC.length);
  if (end > Math.min(bytes.length, WRAPPED_HEAD_BYTES_MAX)) return undefined;
  const parsed = parseJson(bytes.subarray(start, end), 2);
  if (!parsed.ok || typeof parsed.value !== "object" || parsed.value === null) return undefined;
  const json = parsed.value as Record<string, unknown>;
  const [address, mount, key, ciphertext] = ["address", "mount", "key", "ciphertext"].map((name) => json[name]);
  const [namespace, ca] = [json["namespace"], json["ca"]];
  const texts = [address, mount, key, ciphertext].every((text) => typeof text === "string");
  if (!texts || ![namespace, ca].every((text) => text === null || typeof text === "string")) return undefined;
  return { head: Buffer.from(bytes.subarray(0, end)), wrapped: { ...json } as unknown as WrappedKey };
}

/** Opens with what a server has unwrapped, by ciphertext; each opening gets bytes of its own. */
export function openerWith(known: ReadonlyMap<string, Secret>): (wrapped?: WrappedKey) => Buffer {
  return (wrapped) => {
    const found = wrapped && known.get(wrapped.ciphertext);
    if (!found) throw new Error("the vault key was exchanged while it was opened: start again");
    return found.reveal((bytes) => Buffer.from(bytes));
  };
}

export const areSame = (one: Secret, other: Secret): boolean =>
  one.reveal((a) => other.reveal((b) => a.length === b.length && timingSafeEqual(a, b)));
