/** A thread of its own opens a private key: the derivation of a key from a passphrase takes a second of computing. */
import { createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { parentPort, workerData } from "node:worker_threads";
import ssh2 from "ssh2";

export interface KeyText {
  /** The body of an OpenSSH private key: base64 without its armour. */
  readonly body: Uint8Array;
  readonly passphrase: Uint8Array | null;
  readonly roundsMax: number;
}
export type KeyAnswer = { readonly key: KeyObject } | { readonly fault: string };

/** PROTOCOL.key of OpenSSH. */
const MAGIC = "openssh-key-v1\0";

function opened({ body, passphrase, roundsMax }: KeyText): KeyAnswer {
  const armoured = Buffer.from(body).toString("latin1");
  const bytes = Buffer.from(armoured, "base64");
  if (bytes.toString("latin1", 0, MAGIC.length) !== MAGIC) return { fault: "it is not a private key of OpenSSH" };
  const rounds = roundsOf(bytes);
  if (rounds > 0 && passphrase === null) return { fault: "it has a passphrase, and `passphrase` names none" };
  if (rounds > roundsMax) return { fault: `its passphrase is stretched over more than ${roundsMax} rounds` };
  const text = `-----BEGIN OPENSSH PRIVATE KEY-----\n${armoured}\n-----END OPENSSH PRIVATE KEY-----\n`;
  const parsed = ssh2.utils.parseKey(text, passphrase === null ? undefined : Buffer.from(passphrase));
  const key = Array.isArray(parsed) ? parsed[0] : parsed;
  // What the library says of it could repeat a part of it.
  if (!key || key instanceof Error)
    return { fault: rounds > 0 ? "its passphrase is another one, or it is damaged" : "it is damaged" };
  const pem = key.getPrivatePEM();
  if (pem === null || (key.type !== "ssh-ed25519" && key.type !== "ssh-rsa"))
    return { fault: "only keys of the kinds ed25519 and rsa are taken" };
  const made = createPrivateKey(pem);
  if (key.type === "ssh-rsa" && (createPublicKey(made).asymmetricKeyDetails?.modulusLength ?? 0) < 2_048)
    return { fault: "its RSA key has less than 2048 bits" };
  return { key: made };
}

/** 0: it is not encrypted. */
function roundsOf(bytes: Buffer): number {
  let at = MAGIC.length;
  const text = (): Buffer => {
    const length = at + 4 <= bytes.length ? bytes.readUInt32BE(at) : 0;
    at += 4 + length;
    return bytes.subarray(at - length, at);
  };
  text();
  const derivation = text().toString("latin1");
  const options = text();
  if (derivation === "none") return 0;
  // A salt with its length, then the rounds.
  return options.length >= 8 ? options.readUInt32BE(options.length - 4) : Number.MAX_SAFE_INTEGER;
}

const answer = ((): KeyAnswer => {
  try {
    return opened(workerData as KeyText);
  } catch {
    return { fault: "it is damaged" };
  }
})();
parentPort?.postMessage(answer);
