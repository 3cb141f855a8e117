import { generateKeyPairSync, type KeyObject } from "node:crypto";
import type { Clock } from "../../../lib/clock.ts";
import { makeCertificate } from "./certificate.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** What a TLS server shows for a host, in PEM. */
export interface Leaf {
  readonly key: string;
  /** With that of the authority. */
  readonly cert: string;
  readonly renewAtMs: number;
}

/**
 * The authority of one sandbox, which trusts it and nobody else does. Its keys are made with it, never leave memory,
 * and are gone with it: there is nothing to steal, to revoke or to reuse elsewhere.
 */
export class CertificateAuthority {
  /** For the sandbox's trust store. */
  readonly pem: string;
  readonly #clock: Clock;
  readonly #name: string;
  readonly #key: KeyObject;
  readonly #leafKeys: { readonly publicKey: KeyObject; readonly privateKey: KeyObject };

  constructor(sandbox: string, clock: Clock) {
    const { publicKey, privateKey } = newKeys();
    this.#clock = clock;
    this.#name = `Cordon sandbox ${sandbox}`.slice(0, 64);
    this.#key = privateKey;
    this.#leafKeys = newKeys();
    const nowMs = clock.nowMs();
    const issuer = { name: this.#name, privateKey };
    const validity = { fromMs: nowMs - DAY_MS, untilMs: nowMs + 365 * DAY_MS };
    this.pem = makeCertificate({ name: this.#name, publicKey, issuer, ca: true, ...validity });
  }

  /** For a host or an address. */
  issue(host: string): Leaf {
    const nowMs = this.#clock.nowMs();
    const { publicKey, privateKey } = this.#leafKeys;
    const issuer = { name: this.#name, privateKey: this.#key };
    const validity = { fromMs: nowMs - HOUR_MS, untilMs: nowMs + 7 * DAY_MS };
    const cert = makeCertificate({ name: host, publicKey, issuer, ca: false, ...validity });
    const key = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
    return { key, cert: cert + this.pem, renewAtMs: nowMs + 6 * DAY_MS };
  }
}

const newKeys = (): { readonly publicKey: KeyObject; readonly privateKey: KeyObject } =>
  generateKeyPairSync("ec", { namedCurve: "prime256v1" });
