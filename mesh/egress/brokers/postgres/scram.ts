import { createHash, createHmac, pbkdf2, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";
import { limits } from "../../../../protocol/limits.ts";
import { ProtocolFault } from "./frames.ts";

const derive = promisify(pbkdf2);

/** RFC 5802 and RFC 7677, the client's side; `binding` is `tls-server-end-point` (RFC 5929 §4.1) or null. */
export class Scram {
  readonly mechanism: "SCRAM-SHA-256" | "SCRAM-SHA-256-PLUS";
  readonly #password: string;
  readonly #nonce: string;
  readonly #gs2: string;
  readonly #binding: Buffer;
  #serverSignature: Buffer | undefined;

  /** `offered` are the server's mechanisms. Who could bind and is not asked to says so: the server finds a man between. */
  constructor(password: string, nonce: string, offered: readonly string[], binding: Buffer | null) {
    const plus = binding !== null && offered.includes("SCRAM-SHA-256-PLUS");
    if (!plus && !offered.includes("SCRAM-SHA-256")) throw new ProtocolFault("the server offers no SCRAM-SHA-256");
    this.mechanism = plus ? "SCRAM-SHA-256-PLUS" : "SCRAM-SHA-256";
    this.#password = password;
    this.#nonce = nonce;
    this.#gs2 = plus ? "p=tls-server-end-point,," : binding === null ? "n,," : "y,,";
    this.#binding = plus ? binding : Buffer.alloc(0);
  }

  /** The user's name is that of the session (PostgreSQL 18, section 54.3.1). */
  first(): string {
    return `${this.#gs2}n=,r=${this.#nonce}`;
  }

  async final(serverFirst: string): Promise<string> {
    const [, nonce = "", salt = "", rounds = ""] =
      /^r=([\x21-\x2b\x2d-\x7e]{1,256}),s=([A-Za-z0-9+/=]{1,256}),i=([1-9][0-9]{0,8})$/.exec(serverFirst) ?? [];
    // One that only repeats ours has taken no part in it.
    if (!nonce.startsWith(this.#nonce) || nonce.length <= this.#nonce.length)
      throw new ProtocolFault("the server's part of the login is not understood");
    if (Number(rounds) > limits.postgres.scramRoundsMax) throw new ProtocolFault("the server wants too many rounds");
    const salted = await derive(this.#password, Buffer.from(salt, "base64"), Number(rounds), 32, "sha256");
    const proven = `c=${Buffer.concat([Buffer.from(this.#gs2), this.#binding]).toString("base64")},r=${nonce}`;
    const all = `n=,r=${this.#nonce},${serverFirst},${proven}`;
    const clientKey = hmac(salted, "Client Key");
    const signature = hmac(createHash("sha256").update(clientKey).digest(), all);
    const proof = Buffer.from(clientKey.map((byte, index) => byte ^ (signature[index] ?? 0)));
    this.#serverSignature = hmac(hmac(salted, "Server Key"), all);
    return `${proven},p=${proof.toString("base64")}`;
  }

  /** The server, too, has to know the password. */
  check(serverFinal: string): void {
    const said = Buffer.from(/^v=([A-Za-z0-9+/=]{1,64})(?:,|$)/.exec(serverFinal)?.[1] ?? "", "base64");
    const wanted = this.#serverSignature;
    if (!wanted || said.length !== wanted.length || !timingSafeEqual(said, wanted))
      throw new ProtocolFault("the server does not know the password either");
  }
}

const hmac = (key: Uint8Array, text: string): Buffer => createHmac("sha256", key).update(text).digest();
