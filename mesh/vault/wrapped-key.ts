/**
 * A key file that opens with a key which a server keeps wrapped (the transit engine of HashiCorp Vault and OpenBao, or the
 * Key Management Service of AWS): who has the file alone, or the server's answer alone, has nothing.
 */
import { timingSafeEqual } from "node:crypto";
import { parseJson } from "../../lib/json.ts";
import type { Secret } from "../../lib/redact.ts";

/** Where the key that opens the file is, and in what form. Nothing of it is secret. */
export type WrappedKey = KeyPlace & {
  /** As the server wrote it: `vault:v1:…`, or base64. */
  readonly ciphertext: string;
};
export type KeyPlace = TransitPlace | KmsPlace;

export interface TransitPlace {
  readonly service: "transit";
  /** Of the server, without `/v1`. */
  readonly address: string;
  /** Where the engine is mounted. */
  readonly mount: string;
  /** Name of the key in the engine. */
  readonly key: string;
  readonly namespace: string | null;
  /** Certificates in PEM that the server may be trusted by, besides the system's. */
  readonly ca: string | null;
}

export interface KmsPlace {
  readonly service: "aws-kms";
  readonly address: string;
  /** ARN of the key or of an alias; it names the region. */
  readonly key: string;
}

type Service = KeyPlace["service"];
/** First bytes of such a file, and the members of its JSON: those that are text, and those that may be null. */
const forms: Readonly<Record<Service, { readonly magic: Buffer; readonly texts: string[]; readonly maybe: string[] }>> =
  {
    transit: {
      magic: Buffer.from("cordon-key/transit/1\n"),
      texts: ["address", "mount", "key", "ciphertext"],
      maybe: ["namespace", "ca"],
    },
    "aws-kms": { magic: Buffer.from("cordon-key/aws-kms/1\n"), texts: ["address", "key", "ciphertext"], maybe: [] },
  };
const LENGTH_BYTES = 4;
export const WRAPPED_HEAD_BYTES_MAX = 64 * 1024;

/** Magic ‖ length of the JSON (4 bytes) ‖ JSON: the box of the master key is bound to all of it. */
export function wrappedHead({ service, ...members }: WrappedKey): Buffer {
  const json = Buffer.from(JSON.stringify(members));
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32BE(json.length);
  const head = Buffer.concat([forms[service].magic, length, json]);
  if (head.length > WRAPPED_HEAD_BYTES_MAX) throw new RangeError("the certificates are too long");
  return head;
}

const serviceOf = (bytes: Uint8Array): Service | undefined =>
  (Object.keys(forms) as Service[]).find((each) => {
    const { magic } = forms[each];
    return magic.equals(bytes.subarray(0, magic.length));
  });

export const isWrapped = (bytes: Uint8Array): boolean => serviceOf(bytes) !== undefined;

/** Undefined: it is damaged. */
export function readWrapped(bytes: Buffer): { readonly head: Buffer; readonly wrapped: WrappedKey } | undefined {
  const service = serviceOf(bytes);
  if (service === undefined) return undefined;
  const { magic, texts, maybe } = forms[service];
  const start = magic.length + LENGTH_BYTES;
  if (bytes.length < start) return undefined;
  const end = start + bytes.readUInt32BE(magic.length);
  if (end > Math.min(bytes.length, WRAPPED_HEAD_BYTES_MAX)) return undefined;
  const parsed = parseJson(bytes.subarray(start, end), 2);
  if (!parsed.ok || typeof parsed.value !== "object" || parsed.value === null) return undefined;
  const json = parsed.value as Record<string, unknown>;
  const isText = (name: string): boolean => typeof json[name] === "string";
  if (!texts.every(isText) || !maybe.every((name) => json[name] === null || isText(name))) return undefined;
  return { head: Buffer.from(bytes.subarray(0, end)), wrapped: { ...json, service } as unknown as WrappedKey };
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
