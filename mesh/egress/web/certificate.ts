import { createHash, createPublicKey, sign, type KeyObject } from "node:crypto";
import { bits, explicit, implicit, integer, octets, oid, sequence, set, time, utf8, yes } from "./der.ts";
import { bytesOf, isAddress } from "./address.ts";

/** What a certificate says; `ca` null = a leaf for `name`, which is then a host or an address. */
export interface CertificateForm {
  readonly name: string;
  readonly publicKey: KeyObject;
  readonly issuer: { readonly name: string; readonly privateKey: KeyObject };
  readonly ca: boolean;
  /** Milliseconds since the Unix epoch. */
  readonly fromMs: number;
  readonly untilMs: number;
}

const ECDSA_WITH_SHA256 = sequence(oid("1.2.840.10045.4.3.2"));

/**
 * An X.509 v3 certificate (RFC 5280) signed with ECDSA over P-256, in PEM. It names no list of revocations and no
 * responder: it lives no longer than its sandbox, and a client that is told of none asks none (RFC 5280 §6.3).
 */
export function makeCertificate(form: CertificateForm): string {
  const { issuer, publicKey, fromMs, untilMs } = form;
  const spki = publicKey.export({ type: "spki", format: "der" });
  // RFC 5280 §4.1.2.2: positive, at most 20 bytes, never twice from one issuer.
  const serial = createHash("sha256")
    .update(spki)
    .update(`${form.name}\0${issuer.name}\0${fromMs}`)
    .digest()
    .subarray(0, 16);
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  const toBeSigned = sequence(
    explicit(0, integer(Buffer.from([2]))),
    integer(serial),
    ECDSA_WITH_SHA256,
    nameOf(issuer.name),
    sequence(time(fromMs), time(untilMs)),
    // RFC 5280 §4.2.1.6: with an empty subject the alternative name is the identity, and critical.
    form.ca ? nameOf(form.name) : sequence(),
    spki,
    explicit(3, sequence(...extensionsOf(form, spki))),
  );
  const signature = sign("sha256", toBeSigned, issuer.privateKey);
  const whole = sequence(toBeSigned, ECDSA_WITH_SHA256, bits(signature)).toString("base64");
  return `-----BEGIN CERTIFICATE-----\n${whole.replace(/.{64}(?=.)/g, "$&\n")}\n-----END CERTIFICATE-----\n`;
}

const nameOf = (name: string): Buffer => sequence(set(sequence(oid("2.5.4.3"), utf8(name))));

const extension = (id: string, critical: boolean, value: Uint8Array): Buffer =>
  sequence(oid(id), ...(critical ? [yes()] : []), octets(value));

function extensionsOf(form: CertificateForm, spki: Uint8Array): Buffer[] {
  const issuerKey = createPublicKey(form.issuer.privateKey).export({ type: "spki", format: "der" });
  const ids = [
    extension("2.5.29.14", false, octets(keyId(spki))),
    extension("2.5.29.35", false, sequence(implicit(0, keyId(issuerKey)))),
  ];
  if (form.ca) {
    return [
      // A path length of 0: it signs leaves only.
      extension("2.5.29.19", true, sequence(yes(), integer(Buffer.from([0])))),
      // keyCertSign and cRLSign.
      extension("2.5.29.15", true, bits(Buffer.from([0x06]), 1)),
      ...ids,
    ];
  }
  const alternative = isAddress(form.name)
    ? implicit(7, Buffer.from(bytesOf(form.name)))
    : implicit(2, Buffer.from(form.name, "latin1"));
  return [
    extension("2.5.29.19", true, sequence()),
    // digitalSignature.
    extension("2.5.29.15", true, bits(Buffer.from([0x80]), 7)),
    // serverAuth.
    extension("2.5.29.37", false, sequence(oid("1.3.6.1.5.5.7.3.1"))),
    extension("2.5.29.17", true, sequence(alternative)),
    ...ids,
  ];
}

/** RFC 7093 §2, method 1: the leftmost 160 bits of the SHA-256 of the key itself. */
const keyId = (spki: Uint8Array): Buffer =>
  createHash("sha256")
    .update(spki.subarray(spki.length - POINT_BYTES))
    .digest()
    .subarray(0, 20);

/** An uncompressed point of P-256 ends the structure. */
const POINT_BYTES = 65;
