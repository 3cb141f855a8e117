import { createHash } from "node:crypto";
import { err, ok, type Result } from "../../../../lib/result.ts";
import { hostKeyTypes, type HostKeyPin, type HostKeyType } from "./setting.ts";

const FINGERPRINT = /^SHA256:([A-Za-z0-9+/]{43})=?$/;
const KNOWN_HOSTS =
  /^(?:([^\s@#]\S{0,300})[ \t]+)?([a-z0-9-]{1,40})[ \t]+([A-Za-z0-9+/]{40,1400}={0,2})(?:[ \t]+\S.{0,200})?$/;
/** Of an RSA key with 2048 bits: what is shorter is weak. */
const RSA_BYTES_MIN = 270;

/** A fingerprint as `ssh-keygen -l` prints it, or a line of `known_hosts` (sshd(8)), of which `place` must be the host. */
export function readHostKey(
  text: string,
  place: { readonly host: string; readonly port: number },
): Result<HostKeyPin, string> {
  const fingerprint = FINGERPRINT.exec(text.trim())?.[1];
  if (fingerprint !== undefined) return ok({ sha256: fingerprint, type: null });
  const [, hosts, name = "", base64 = ""] = KNOWN_HOSTS.exec(text.trim()) ?? [];
  if (base64 === "") return err("it is neither a fingerprint nor a line of known_hosts");
  const type = hostKeyTypes.find((each) => each === name);
  if (!type) return err(`\`${name}\` is not a kind of key that is taken: ${hostKeyTypes.join(", ")}`);
  const blob = Buffer.from(base64, "base64");
  if (typeOf(blob) !== type) return err("its key is not of the kind that it says");
  if (type === "ssh-rsa" && blob.length < RSA_BYTES_MIN) return err("its RSA key has less than 2048 bits");
  if (hosts !== undefined && !namesPlace(hosts, place))
    return err(`it is the line of another host: \`${hosts.slice(0, 80)}\``);
  return ok({ sha256: digestOf(blob), type });
}

/** Whether the key that a server shows is one of those that are believed. */
export const isPinned = (blob: Buffer, pins: readonly HostKeyPin[]): boolean => {
  const sha256 = digestOf(blob);
  return pins.some((pin) => pin.sha256 === sha256 && (pin.type === null || pin.type === typeOf(blob)));
};

export const digestOf = (blob: Buffer): string => createHash("sha256").update(blob).digest("base64").slice(0, 43);

/** What the server is asked to show: other kinds of key than the pinned ones could only fail. SHA-1 is never among them. */
export function signaturesFor(pins: readonly HostKeyPin[]): readonly string[] {
  const wanted = pins.some(({ type }) => type === null) ? hostKeyTypes : pins.flatMap(({ type }) => type ?? []);
  return hostKeyTypes.filter((type) => wanted.includes(type)).flatMap((type) => SIGNATURES[type]);
}

/** RFC 8332: keys of the kind `ssh-rsa` sign with SHA-2 under names of their own. */
const SIGNATURES: Readonly<Record<HostKeyType, readonly string[]>> = {
  "ssh-ed25519": ["ssh-ed25519"],
  "ecdsa-sha2-nistp256": ["ecdsa-sha2-nistp256"],
  "ssh-rsa": ["rsa-sha2-512", "rsa-sha2-256"],
};

function typeOf(blob: Buffer): string {
  const length = blob.length < 4 ? 0 : blob.readUInt32BE(0);
  return length > 64 ? "" : blob.toString("latin1", 4, 4 + length);
}

/** A hashed name (`|1|…`) says nothing to who reads it: the line is the operator's own. */
function namesPlace(hosts: string, { host, port }: { readonly host: string; readonly port: number }): boolean {
  if (hosts.startsWith("|")) return true;
  const spelt = port === 22 ? [host, `[${host}]:22`] : [`[${host}]:${port}`];
  return hosts
    .toLowerCase()
    .split(",")
    .some((each) => spelt.includes(each));
}
