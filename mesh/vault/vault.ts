import type { Clock } from "../../lib/clock.ts";
import { Secret } from "../../lib/redact.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import type { Audit } from "../audit/audit.ts";
import { defaultTenant } from "../store/statements.ts";
import type { Store, Write } from "../store/store.ts";
import { KEY_BYTES, open, seal, type RandomBytes } from "./envelope.ts";
import { VaultError, type MasterKey } from "./master-key.ts";

/** What may be known of a credential: never its value. */
export interface CredentialCard {
  readonly name: string;
  readonly version: number;
  readonly createdAtMs: number;
  readonly lastUsedAtMs: number | null;
  readonly uses: number;
}

const VALUE_BYTES_MIN = 8;
const VALUE_BYTES_MAX = 16 * 1024;

interface Entry {
  readonly version: number;
  readonly createdAtMs: number;
  readonly wrappedKey: Uint8Array;
  readonly sealedValue: Uint8Array;
  uses: number;
  lastUsedAtMs: number | null;
}

/**
 * Secrets at rest. Each value is sealed under a data key of its own, which the master key wraps; both boxes are
 * bound to (tenant, name, version). Values are opened for `egress` only, one request at a time.
 */
export class Vault {
  readonly #store: Store;
  readonly #audit: Audit;
  readonly #clock: Clock;
  readonly #key: MasterKey;
  readonly #random: RandomBytes;
  readonly #live = new Map<string, Entry>();
  readonly #newest = new Map<string, number>();

  constructor(parts: { store: Store; audit: Audit; clock: Clock; key: MasterKey; random: RandomBytes }) {
    this.#store = parts.store;
    this.#audit = parts.audit;
    this.#clock = parts.clock;
    this.#key = parts.key;
    this.#random = parts.random;
    for (const row of this.#store.query.credentials.all(defaultTenant)) {
      this.#newest.set(row.name, row.version);
      if (row.revoked === 0) this.#live.set(row.name, row);
      else this.#live.delete(row.name);
    }
  }

  /**
   * Stores a new version; the older ones are revoked and their bytes erased in the same transaction.
   * The error says what a value must be; it never repeats the value.
   */
  async put(name: string, value: Secret, by: string): Promise<Result<null, string>> {
    const fault = value.reveal(checkValue);
    if (fault !== undefined) return err(fault);
    const version = (this.#newest.get(name) ?? 0) + 1;
    const atMs = this.#clock.nowMs();
    const dataKey = this.#random(KEY_BYTES);
    const sealedValue = value.reveal((bytes) => seal(dataKey, bytes, binding(name, version, "value"), this.#random));
    const wrappedKey = seal(this.#key.wrapping, dataKey, binding(name, version, "key"), this.#random);
    dataKey.fill(0);
    this.#newest.set(name, version);
    await this.#audit.record({ kind: "credential.stored", subject: by, detail: { name, version } }, [
      ["credentials.revokeAll", defaultTenant, name],
      ["credentials.insert", defaultTenant, name, version, wrappedKey, sealedValue, atMs],
    ]);
    this.#live.set(name, { version, createdAtMs: atMs, wrappedKey, sealedValue, uses: 0, lastUsedAtMs: null });
    return ok(null);
  }

  /** Erases every version. False when there is none. */
  async remove(name: string, by: string): Promise<boolean> {
    if (!this.#live.delete(name)) return false;
    await this.#audit.record({ kind: "credential.removed", subject: by, detail: { name } }, [
      ["credentials.revokeAll", defaultTenant, name],
    ]);
    // A version that was on its way to the disk when it was removed has gone live since.
    this.#live.delete(name);
    return true;
  }

  /** The value, its version and the row that counts the use; undefined when there is none. The caller erases the secret. */
  reveal(
    name: string,
  ): { readonly secret: Secret; readonly version: number; readonly writes: readonly Write[] } | undefined {
    const entry = this.#live.get(name);
    if (!entry) return undefined;
    let secret: Secret;
    try {
      const dataKey = open(this.#key.wrapping, entry.wrappedKey, binding(name, entry.version, "key"));
      secret = new Secret(open(dataKey, entry.sealedValue, binding(name, entry.version, "value")));
      dataKey.fill(0);
    } catch (cause) {
      throw new VaultError(
        `credential \`${name}\` does not open with this vault key: restore the key, or add the credential again`,
        { cause },
      );
    }
    entry.uses++;
    entry.lastUsedAtMs = this.#clock.nowMs();
    return {
      secret,
      version: entry.version,
      writes: [["credentials.use", entry.lastUsedAtMs, defaultTenant, name, entry.version]],
    };
  }

  has(name: string): boolean {
    return this.#live.has(name);
  }

  list(): CredentialCard[] {
    return [...this.#live].map(([name, { version, createdAtMs, lastUsedAtMs, uses }]) => ({
      name,
      version,
      createdAtMs,
      lastUsedAtMs,
      uses,
    }));
  }
}

const binding = (name: string, version: number, part: "key" | "value"): string =>
  `${defaultTenant}/${name}/${version}/${part}`;

/** A credential travels in an HTTP header (RFC 9110 §5.5): visible ASCII only, so that it cannot add a header. */
function checkValue(bytes: Uint8Array): string | undefined {
  if (bytes.length < VALUE_BYTES_MIN)
    return `a credential has at least ${VALUE_BYTES_MIN} characters: shorter ones cannot be kept out of answers`;
  if (bytes.length > VALUE_BYTES_MAX) return `a credential has at most ${VALUE_BYTES_MAX} characters`;
  if (bytes.some((byte) => byte < 0x21 || byte > 0x7e))
    return "a credential holds visible ASCII characters only, without spaces or line ends";
  return undefined;
}
