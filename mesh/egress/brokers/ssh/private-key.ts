import { createHash, createPublicKey, sign, type KeyObject } from "node:crypto";
import { Worker } from "node:worker_threads";
import type { Clock } from "../../../../lib/clock.ts";
import { err, ok, type Result } from "../../../../lib/result.ts";
import { limits } from "../../../../protocol/limits.ts";
import type { KeyAnswer, KeyText } from "./key-thread.ts";

// Run from its source, a file is `.ts`; compiled for a package it is `.js`.
const THREAD = new URL(import.meta.url.endsWith(".ts") ? "./key-thread.ts" : "./key-thread.js", import.meta.url);

/** Says more of a busy machine than of a key. */
const TOO_LONG = "it takes too long to open";

/** A private key that signs and shows nothing of itself. */
export class SigningKey {
  readonly #key: KeyObject;
  readonly type: "ssh-ed25519" | "ssh-rsa";

  constructor(key: KeyObject) {
    this.#key = key;
    this.type = key.asymmetricKeyType === "ed25519" ? "ssh-ed25519" : "ssh-rsa";
  }

  /** The public half as `ssh-keygen` writes it. */
  publicText(): string {
    const jwk = createPublicKey(this.#key).export({ format: "jwk" });
    const fields =
      this.type === "ssh-ed25519"
        ? [Buffer.from(jwk.x ?? "", "base64url")]
        : [jwk.e, jwk.n].map((number) => positive(Buffer.from(number ?? "", "base64url")));
    const blob = Buffer.concat([Buffer.from(this.type), ...fields].map((field) => counted(field)));
    return `${this.type} ${blob.toString("base64")}`;
  }

  /** With SHA-2 or not at all (RFC 8332): `hash` is what the server has agreed to. */
  sign(data: Buffer, hash: string | undefined): Result<Buffer, string> {
    if (this.type === "ssh-ed25519") return ok(sign(null, data, this.#key));
    if (hash !== "sha256" && hash !== "sha512") return err("the server takes signatures with SHA-1 only");
    return ok(sign(hash, data, this.#key));
  }
}

function counted(field: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(field.length);
  return Buffer.concat([length, field]);
}

/** RFC 4251 §5, `mpint`. */
const positive = (bytes: Buffer): Buffer => ((bytes[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.alloc(1), bytes]) : bytes);

/** Opened keys by the name of their credential, as long as its value stays the same; no nearer to it than the vault is. */
export class PrivateKeys {
  readonly #clock: Clock;
  readonly #known = new Map<
    string,
    { readonly digest: string; readonly opened: Promise<Result<SigningKey, string>> }
  >();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The error says what is wrong with the key, and nothing of what it is. */
  open(name: string, body: Uint8Array, passphrase: Uint8Array | null): Promise<Result<SigningKey, string>> {
    const digest = createHash("sha256")
      .update(body)
      .update(passphrase === null ? "-" : "+")
      .update(passphrase ?? "")
      .digest("hex");
    const known = this.#known.get(name);
    if (known?.digest === digest) return known.opened;
    const opened = this.#open(body, passphrase);
    this.#known.set(name, { digest, opened });
    // What has failed for another reason than the key itself is tried again.
    const again = (): void => void (this.#known.get(name)?.opened === opened && this.#known.delete(name));
    opened.then((result) => !result.ok && result.error === TOO_LONG && again(), again);
    return opened;
  }

  /** The credential stands no more. */
  forget(name: string): void {
    this.#known.delete(name);
  }

  async #open(body: Uint8Array, passphrase: Uint8Array | null): Promise<Result<SigningKey, string>> {
    const workerData: KeyText = { body, passphrase, roundsMax: limits.git.bcryptRoundsMax };
    const worker = new Worker(THREAD, { workerData, env: {}, execArgv: [], name: "cordon-key" });
    const stop = new AbortController();
    try {
      const { promise, resolve, reject } = Promise.withResolvers<KeyAnswer>();
      worker.once("message", resolve).once("error", reject);
      worker.once("exit", () => reject(new Error("the thread ended without an answer")));
      this.#clock.sleep(limits.git.keyTimeoutMs, stop.signal).then(
        () => resolve({ fault: TOO_LONG }),
        () => {},
      );
      const answer = await promise;
      return "key" in answer ? ok(new SigningKey(answer.key)) : err(answer.fault);
    } finally {
      stop.abort();
      await worker.terminate();
    }
  }
}
