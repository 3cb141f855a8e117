import assert from "node:assert/strict";
import { generateKeyPairSync, verify, createPublicKey } from "node:crypto";
import { inspect } from "node:util";
import { test } from "node:test";
import { createRequire } from "node:module";
import { systemClock } from "../../../../lib/clock.ts";
import { PrivateKeys, SigningKey } from "./private-key.ts";

interface Library {
  readonly utils: { parseKey(text: string): { readonly type: string } | Error };
}
const ssh2 = createRequire(import.meta.url)("ssh2") as Library;
const data = Buffer.from("what is signed");
const ed25519 = generateKeyPairSync("ed25519").privateKey;
const rsa = generateKeyPairSync("rsa", { modulusLength: 2_048 }).privateKey;

test("an RSA key signs with SHA-2 or not at all", () => {
  const key = new SigningKey(rsa);
  for (const hash of ["sha256", "sha512"]) {
    const signed = key.sign(data, hash);
    assert.ok(signed.ok && verify(hash, data, createPublicKey(rsa), signed.value));
  }
  for (const hash of ["sha1", "md5", undefined, "SHA1", ""]) assert.equal(key.sign(data, hash).ok, false);
});

test("the public half is what the library reads as the same key", () => {
  for (const [key, type] of [
    [ed25519, "ssh-ed25519"],
    [rsa, "ssh-rsa"],
  ] as const) {
    const parsed = ssh2.utils.parseKey(new SigningKey(key).publicText());
    assert.ok(!(parsed instanceof Error));
    assert.equal(parsed.type, type);
  }
});

test("a key shows nothing of itself", () => {
  const key = new SigningKey(ed25519);
  const seed = ed25519.export({ format: "jwk" }).d ?? "";
  const hex = Buffer.from(seed, "base64url").toString("hex");
  for (const shown of [inspect(key, { depth: 9, showHidden: true }), JSON.stringify(key)])
    assert.ok(!shown.includes(seed) && !shown.includes(hex), shown);
});

test("what is no key says why, and repeats nothing", async () => {
  const keys = new PrivateKeys(systemClock);
  const text = "canary-canary-canary";
  for (const body of [text, "b3BlbnNzaC1rZXktdjEAcanary", Buffer.from(`openssh-key-v1\0${text}`).toString("base64")]) {
    const opened = await keys.open(body, Buffer.from(body), Buffer.from(text));
    assert.ok(!opened.ok && !opened.error.includes("canary"), JSON.stringify(opened));
  }
});

test("a passphrase that is stretched without an end is refused before it costs anything", async () => {
  const counted = (bytes: Buffer): Buffer => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    return Buffer.concat([length, bytes]);
  };
  const options = Buffer.concat([counted(Buffer.alloc(16)), Buffer.of(0xff, 0xff, 0xff, 0xff)]);
  const fields = [Buffer.from("aes256-ctr"), Buffer.from("bcrypt"), options].map((field) => counted(field));
  const body = Buffer.concat([Buffer.from("openssh-key-v1\0"), ...fields, Buffer.alloc(64)]).toString("base64");
  const opened = await new PrivateKeys(systemClock).open("k", Buffer.from(body), Buffer.from("passphrase"));
  assert.match(opened.ok ? "" : opened.error, /more than \d+ rounds/);
});

test("a key that a busy machine has not opened in time is tried again", async () => {
  const made = (ssh2.utils as unknown as { generateKeyPairSync(type: string): { private: string } })
    .generateKeyPairSync;
  const body = Buffer.from(made("ed25519").private.replaceAll(/-----[^-]+-----|\s/g, ""));
  let busy = true;
  const clock = {
    ...systemClock,
    sleep: (...given: Parameters<typeof systemClock.sleep>) => (busy ? Promise.resolve() : systemClock.sleep(...given)),
  };
  const keys = new PrivateKeys(clock);
  assert.deepEqual(await keys.open("k", body, null), { ok: false, error: "it takes too long to open" });
  busy = false;
  const opened = await keys.open("k", body, null);
  assert.ok(opened.ok && opened.value.type === "ssh-ed25519");
});
