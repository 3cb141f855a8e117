import { createHash } from "node:crypto";

/** Object identifiers of signature algorithms, DER in hex, and the digest that names the certificate (RFC 5929 §4.1). */
const DIGESTS: Readonly<Record<string, string>> = {
  // RSA with MD5, SHA-1, SHA-256, SHA-384 and SHA-512 (RFC 8017); what is weaker than SHA-256 is read as SHA-256.
  "2a864886f70d010104": "sha256",
  "2a864886f70d010105": "sha256",
  "2a864886f70d01010b": "sha256",
  "2a864886f70d01010c": "sha384",
  "2a864886f70d01010d": "sha512",
  // ECDSA with SHA-1, SHA-256, SHA-384 and SHA-512 (RFC 5758).
  "2a8648ce3d0401": "sha256",
  "2a8648ce3d040302": "sha256",
  "2a8648ce3d040303": "sha384",
  "2a8648ce3d040304": "sha512",
};

/** `tls-server-end-point` of a certificate in DER. Null: its kind of signature has none. */
export function endPoint(certificate: Buffer): Buffer | null {
  // Certificate ::= SEQUENCE { tbsCertificate SEQUENCE, signatureAlgorithm SEQUENCE { OBJECT IDENTIFIER, … }, … }
  const whole = element(certificate, 0);
  const signed = element(certificate, whole.from);
  const algorithm = element(certificate, signed.to);
  const name = element(certificate, algorithm.from);
  const digest = DIGESTS[certificate.toString("hex", name.from, name.to)];
  return digest === undefined ? null : createHash(digest).update(certificate).digest();
}

/** Where the content of the element at `at` begins and ends (X.690 §8.1). */
function element(der: Buffer, at: number): { readonly from: number; readonly to: number } {
  const first = der[at + 1] ?? 0;
  if (first < 0x80) return { from: at + 2, to: at + 2 + first };
  let length = 0;
  for (let i = 0; i < (first & 0x7f); i++) length = length * 256 + (der[at + 2 + i] ?? 0);
  const from = at + 2 + (first & 0x7f);
  return { from, to: from + length };
}
