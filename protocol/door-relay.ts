/** Between a mesh and the relay of one door, where no Unix socket of the host can be mounted. Imports nothing, as it is in the agent image. */

/** What a relay is told: one line of JSON on its standard input, and nowhere else. */
export interface RelayOrders {
  /** Where the mesh listens for this relay alone. */
  readonly host: string;
  readonly port: number;
  /** Which key it is; no secret. */
  readonly identity: string;
  /** Used once: a mesh that has seen it takes it from nobody again. */
  readonly key: string;
}

/** What it answers on its standard output, when its end of the door stands. */
export const RELAY_READY = "ready";

/**
 * Both sides know the key or there is no connection: TLS 1.3 with a pre-shared key and (EC)DHE (RFC 8446 §2.2), so that who learns the
 * key later cannot read what was said. Neither side has a certificate or takes one. With a pre-shared key of a callback OpenSSL
 * agrees on SHA-256 only.
 */
export const relayTls = {
  minVersion: "TLSv1.3",
  maxVersion: "TLSv1.3",
  ciphers: "TLS_AES_128_GCM_SHA256",
} as const;
