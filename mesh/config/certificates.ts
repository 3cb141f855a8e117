import { X509Certificate } from "node:crypto";
import { err, ok, type Result } from "../../lib/result.ts";
import { limits } from "../../protocol/limits.ts";
import { readRegular } from "./read-file.ts";

const BEGIN = "-----BEGIN CERTIFICATE-----";
const END = "-----END CERTIFICATE-----";

/**
 * The certificates of a file in PEM (RFC 7468), and nothing else that stands in it. OpenSSL takes those before the first one that
 * it cannot read, without a word; here each of them must be sound. An error says what is wrong with the file.
 */
export function readCertificates(path: string): Result<string, string> {
  const read = readRegular(path, limits.fleet.certificatesBytesMax);
  if (!read.ok) {
    const larger = `is larger than ${limits.fleet.certificatesBytesMax} bytes`;
    return err(read.error === "too large" ? larger : `cannot be read: ${read.error}`);
  }
  const text = read.value.toString("latin1");
  const found: string[] = [];
  for (let from = text.indexOf(BEGIN); from >= 0; from = text.indexOf(BEGIN, from + BEGIN.length)) {
    const end = text.indexOf(END, from);
    const one = text.slice(from, end < 0 ? undefined : end + END.length);
    try {
      found.push(new X509Certificate(one).toString());
    } catch {
      return err(`holds a certificate that cannot be read, at line ${text.slice(0, from).split("\n").length}`);
    }
  }
  return found.length > 0 ? ok(found.join("")) : err("holds no certificates in PEM");
}
