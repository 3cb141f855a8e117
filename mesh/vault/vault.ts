import { createHmac, createSecretKey, type KeyObject } from "node:crypto";
import type { Clock } from "../../lib/clock.ts";
import { Secret } from "../../lib/redact.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import type { CredentialUsage } from "../../protocol/credential.ts";
import { limits } from "../../protocol/limits.ts";
import type { Audit } from "../audit/audit.ts";
import { defaultTenant } from "../store/statements.ts";
import type { Store, Write } from "../store/store.ts";
import { KEY_BYTES, open, seal, type RandomBytes } from "./envelope.ts";
import { bodyOfKey, faultOfValue } from "./credential-value.ts";
import { VaultError, type MasterKey } from "./master-key.ts";
import { VersionUses } from "./uses.ts";
import { nobody, type CredentialUse, type CredentialWatch, type Standing } from "./watch.ts";

/** What may be known of a credential: never its value. */
export interface CredentialCard {
  readonly name: string;
  readonly standing: Standing;
  readonly version: number;
  /** Tells values apart; keyed, so that it cannot be used to try values out. */
  readonly fingerprint: string;
  readonly createdAtMs: number;
  readonly expiresAtMs: number | null;
  /** Older versions that are still taken out of answers. */
  readonly retiring: number;
  readonly lastUsedAtMs: number | null;
  readonly uses: number;
}

/**
 * `expect`: whether there is one of the name. `overlapMs`: how long the version before is kept, to take it out of answers.
 * `revocations`: how many there were when the value was asked for; one that was revoked since is not stored.
 */
export interface PutOptions {
  readonly expect?: "new" | "known" | undefined;
  readonly expiresInMs?: number | undefined;
  readonly overlapMs?: number | undefined;
  readonly revocations?: number | undefined;
}

/** Neither ever repeats a value. */
export interface PutFault {
  readonly reason: string;
  readonly fix: string;
}

interface Version {
  readonly version: number;
  readonly fingerprint: string;
  readonly createdAtMs: number;
  readonly expiresAtMs: number | null;
  retiresAtMs: number | null;
  wrappedKey: Uint8Array;
  /** Once it was opened: no nearer to the value than the master key, which is in memory as well. */
  dataKey?: KeyObject;
  readonly sealedValue: Uint8Array;
  uses: number;
  lastUsedAtMs: number | null;
  /** Those that are not on their way to the disk yet. */
  counting?: VersionUses;
}

/** Newest first; none of a revoked one. */
interface Credential {
  versions: Version[];
  newest: number;
}

export interface Revealed {
  readonly secret: Secret;
  readonly version: number;
  readonly writes: readonly Write[];
}

/**
 * Secrets at rest. Each value is sealed under a data key of its own, which the master key wraps; both boxes are
 * bound to (tenant, name, version). Values are opened for `egress` only, once for each version that is in use.
 */
export class Vault {
  readonly #store: Store;
  readonly #audit: Audit;
  readonly #clock: Clock;
  readonly #random: RandomBytes;
  readonly #fingerprinting: Secret;
  readonly #watch: CredentialWatch | undefined;
  readonly #credentials = new Map<string, Credential>();
  readonly #revocations = new Map<string, number>();
  #wrapping: Buffer;
  /** Changes go one after the other: what one has sealed, the next one finds. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(parts: {
    store: Store;
    audit: Audit;
    clock: Clock;
    key: Pick<MasterKey, "wrapping" | "fingerprinting">;
    random: RandomBytes;
    watch?: CredentialWatch;
  }) {
    this.#store = parts.store;
    this.#audit = parts.audit;
    this.#clock = parts.clock;
    this.#wrapping = parts.key.wrapping;
    this.#fingerprinting = parts.key.fingerprinting;
    this.#random = parts.random;
    this.#watch = parts.watch;
    for (const row of this.#store.query.credentials.all(defaultTenant)) {
      const known = this.#credentials.get(row.name) ?? { versions: [], newest: 0 };
      known.newest = row.version;
      if (row.revoked === 0) known.versions.unshift({ ...row });
      this.#credentials.set(row.name, known);
    }
  }

  /**
   * Stores a new version, which requests take from now on. The one before is kept for the overlap, or else erased in the
   * same transaction.
   */
  put(
    name: string,
    value: Secret,
    by: string,
    { expect, expiresInMs, overlapMs = 0, revocations }: PutOptions = {},
  ): Promise<Result<null, PutFault>> {
    const body = value.reveal(bodyOfKey);
    if (body) {
      const bare = new Secret(body);
      return this.put(name, bare, by, { expect, expiresInMs, overlapMs, revocations }).finally(() => bare.erase());
    }
    const fault = value.reveal(faultOfValue);
    if (fault !== undefined)
      return Promise.resolve(err({ reason: fault, fix: "give the whole value, without quotes" }));
    return this.#inTurn(async () => {
      const { versions, newest } = this.#credentials.get(name) ?? { versions: [], newest: 0 };
      if (revocations !== undefined && revocations !== this.revocations(name))
        return err({ reason: `\`${name}\` was revoked meanwhile`, fix: "enter a value, or log in anew" });
      if (expect === "new" && versions.length > 0)
        return err({
          reason: `\`${name}\` is in the vault already`,
          fix: `replace it with \`cordon credential rotate ${name}\``,
        });
      if (expect === "known" && versions.length === 0)
        return err({ reason: `no credential \`${name}\``, fix: `add it with \`cordon credential add ${name}\`` });
      const expiresAtMs = expiresInMs === undefined ? null : this.#clock.nowMs() + expiresInMs;
      const made = this.#seal(name, newest + 1, value, expiresAtMs);
      const retiresAtMs = made.createdAtMs + Math.min(overlapMs, limits.credential.overlapMsMax);
      // A version that was given an end keeps it.
      const older = overlapMs === 0 ? [] : versions.slice(0, limits.credential.versionsKeptMax - 1);
      const kept = older.map((each) => ({ ...each, retiresAtMs: each.retiresAtMs ?? retiresAtMs }));
      const { version, fingerprint, wrappedKey, sealedValue, createdAtMs } = made;
      await this.#audit.record({ kind: "credential.stored", subject: by, detail: { name, version, fingerprint } }, [
        ...versions.slice(kept.length).map((each): Write => ["credentials.revoke", defaultTenant, name, each.version]),
        ...kept.map((each): Write => ["credentials.retire", each.retiresAtMs, defaultTenant, name, each.version]),
        [
          ...(["credentials.insert", defaultTenant, name, version, wrappedKey, sealedValue] as const),
          ...([createdAtMs, fingerprint, expiresAtMs] as const),
        ],
      ]);
      this.#credentials.set(name, { versions: [made, ...kept], newest: version });
      return ok(null);
    });
  }

  /** Erases every version; no request gets one from this moment on. False when there is none. */
  revoke(name: string, by: string): Promise<boolean> {
    const forget = (): boolean => {
      const known = this.#credentials.get(name);
      const had = (known?.versions.length ?? 0) > 0;
      if (known) known.versions = [];
      return had;
    };
    this.#revocations.set(name, this.revocations(name) + 1);
    const had = forget();
    return this.#inTurn(async () => {
      // A version that was on its way to the disk when this was asked for has come since.
      if (!forget() && !had) return false;
      await this.#audit.record({ kind: "credential.revoked", subject: by, detail: { name } }, [
        ["credentials.revokeAll", defaultTenant, name],
      ]);
      return true;
    });
  }

  /** The value, its version and the rows that count the use; undefined when none stands. The caller erases the secret. */
  reveal(name: string, use: CredentialUse = nobody): Revealed | undefined {
    const current = this.#standingFor(name, use);
    if (!current) return undefined;
    const secret = this.#open(name, current);
    return { secret, version: current.version, writes: this.#count(name, current, use) };
  }

  /** The rows that count a use of a value that was revealed before, in this `generation`; undefined when none stands. */
  count(name: string, use: CredentialUse = nobody): readonly Write[] | undefined {
    const current = this.#standingFor(name, use);
    return current && this.#count(name, current, use);
  }

  /** The value, to find it in answers: that is no use of it, and it need not be live. The caller erases the secret. */
  look(name: string): Secret | undefined {
    const current = this.#credentials.get(name)?.versions[0];
    return current && this.#open(name, current);
  }

  /** The versions that requests take no more and that are still known, newest first. The caller erases the secrets. */
  retiring(name: string): { readonly secret: Secret; readonly version: number }[] {
    return this.#retiring(name).map((each) => ({ secret: this.#open(name, each), version: each.version }));
  }

  /** Changes whenever the values that are to be kept out of answers do. */
  generation(name: string): string {
    const versions = this.#credentials.get(name)?.versions;
    const newest = versions?.[0]?.version ?? 0;
    // Asked with every call, and most credentials have one version.
    if (!versions || versions.length <= 1) return String(newest);
    return [newest, ...this.#retiring(name).map(({ version }) => version)].join(" ");
  }

  /** How often a name was revoked since the mesh has run: who fetches a value can tell whether it is still wanted. */
  revocations(name: string): number {
    return this.#revocations.get(name) ?? 0;
  }

  standing(name: string): Standing {
    const known = this.#credentials.get(name);
    if (!known) return "missing";
    const current = known.versions[0];
    if (!current) return "revoked";
    return current.expiresAtMs !== null && current.expiresAtMs <= this.#clock.nowMs() ? "expired" : "live";
  }

  has(name: string): boolean {
    return this.standing(name) === "live";
  }

  list(): CredentialCard[] {
    return [...this.#credentials].flatMap(([name, { versions }]) => {
      const current = versions[0];
      if (!current) return [];
      const { version, fingerprint, createdAtMs, expiresAtMs, lastUsedAtMs, uses } = current;
      const [standing, retiring] = [this.standing(name), this.#retiring(name).length];
      return [{ name, standing, version, fingerprint, createdAtMs, expiresAtMs, retiring, lastUsedAtMs, uses }];
    });
  }

  /** Who has used what, where; refusals of the last moments are not in it yet. */
  uses(): CredentialUsage["uses"] {
    return this.#store.query.credentials.uses(defaultTenant);
  }

  /** Erases what has retired or is past its end. To be called now and then: `reveal` and `retiring` do not wait for it. */
  async tend(): Promise<void> {
    await this.#inTurn(async () => {
      const nowMs = this.#clock.nowMs();
      for (const [name, known] of this.#credentials) {
        const due = known.versions.filter(
          ({ retiresAtMs, expiresAtMs }) => (retiresAtMs ?? Infinity) <= nowMs || (expiresAtMs ?? Infinity) <= nowMs,
        );
        // The current one stays in the list, so that its standing is `expired` and not `revoked`: its owner can tell.
        const gone = due.filter((each) => each !== known.versions[0]);
        if (gone.length === 0) continue;
        known.versions = known.versions.filter((each) => !gone.includes(each));
        const erased = gone.map(({ version }) => version);
        await this.#audit.record(
          { kind: "credential.retired", subject: "mesh", detail: { name, versions: erased.join(" ") } },
          erased.map((version): Write => ["credentials.revoke", defaultTenant, name, version]),
        );
      }
    });
    for (const { name, expiresAtMs } of this.list()) this.#watch?.tellExpiry(name, expiresAtMs);
    await this.#watch?.flush();
  }

  /** Every data key under another master key, in one transaction with `more`. Requests go on meanwhile. */
  rewrap(wrapping: Buffer, by: string, more: readonly Write[]): Promise<void> {
    return this.#inTurn(async () => {
      const rewrapped = [...this.#credentials].flatMap(([name, { versions }]) =>
        versions.map((each) => {
          const dataKey = this.#dataKey(name, each);
          const wrappedKey = seal(wrapping, dataKey, binding(name, each.version, "key"), this.#random);
          dataKey.fill(0);
          return { name, each, wrappedKey };
        }),
      );
      await this.#audit.record({ kind: "vault.rotated", subject: by, detail: { credentials: rewrapped.length } }, [
        ...rewrapped.map(({ name, each, wrappedKey }): Write => [
          "credentials.rewrap",
          wrappedKey,
          defaultTenant,
          name,
          each.version,
        ]),
        ...more,
      ]);
      for (const { each, wrappedKey } of rewrapped) each.wrappedKey = wrappedKey;
      this.#wrapping = wrapping;
    });
  }

  #standingFor(name: string, use: CredentialUse): Version | undefined {
    const standing = this.standing(name);
    const current = this.#credentials.get(name)?.versions[0];
    if (standing === "live" && current) return current;
    if (standing !== "missing") this.#watch?.refused(name, use, standing);
    return undefined;
  }

  #count(name: string, current: Version, use: CredentialUse): readonly Write[] {
    const atMs = this.#clock.nowMs();
    current.uses++;
    current.lastUsedAtMs = atMs;
    const counted = (current.counting ??= new VersionUses(name, current.version)).add(atMs);
    const told = this.#watch?.used(name, use, atMs) ?? [];
    return told.length === 0 ? [counted] : [counted, ...told];
  }

  #inTurn<T>(act: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(act);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  #retiring(name: string): Version[] {
    const nowMs = this.#clock.nowMs();
    return (this.#credentials.get(name)?.versions ?? []).slice(1).filter((each) => (each.retiresAtMs ?? 0) > nowMs);
  }

  #seal(name: string, version: number, value: Secret, expiresAtMs: number | null): Version {
    const dataKey = this.#random(KEY_BYTES);
    const sealedValue = value.reveal((bytes) => seal(dataKey, bytes, binding(name, version, "value"), this.#random));
    const wrappedKey = seal(this.#wrapping, dataKey, binding(name, version, "key"), this.#random);
    dataKey.fill(0);
    const fingerprint = this.#fingerprinting.reveal((key) =>
      value.reveal((bytes) => createHmac("sha256", key).update(bytes).digest("hex").slice(0, 12)),
    );
    const createdAtMs = this.#clock.nowMs();
    const unused = { uses: 0, lastUsedAtMs: null, retiresAtMs: null };
    return { version, fingerprint, createdAtMs, expiresAtMs, wrappedKey, sealedValue, ...unused };
  }

  #dataKey(name: string, { version, wrappedKey }: Version): Buffer {
    return this.#opened(name, () => open(this.#wrapping, wrappedKey, binding(name, version, "key")));
  }

  #open(name: string, each: Version): Secret {
    const dataKey = (each.dataKey ??= this.#keyObject(name, each));
    return this.#opened(name, () => new Secret(open(dataKey, each.sealedValue, binding(name, each.version, "value"))));
  }

  #keyObject(name: string, each: Version): KeyObject {
    const dataKey = this.#dataKey(name, each);
    const key = createSecretKey(dataKey);
    dataKey.fill(0);
    return key;
  }

  #opened<T>(name: string, act: () => T): T {
    try {
      return act();
    } catch (cause) {
      throw new VaultError(
        `credential \`${name}\` does not open with this vault key: restore the key, or add the credential again`,
        { cause },
      );
    }
  }
}

const binding = (name: string, version: number, part: "key" | "value"): string =>
  `${defaultTenant}/${name}/${version}/${part}`;
