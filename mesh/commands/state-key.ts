import { createHash, randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Queries } from "../store/queries.ts";
import type { Store } from "../store/store.ts";
import { loadMasterKey, type MasterKey } from "../vault/master-key.ts";
import { CommandError } from "./failure.ts";
import { version } from "./installation.ts";

/** Names in `meta`: which version wrote the state (before any key is made), and the fingerprint of its key. */
const WRITTEN_BY = "version";
const FINGERPRINT = "vault_key";

/**
 * The key of a state, made on its first use. Key and database belong together: when one of them is lost or was
 * exchanged, going on would hide what the other one knows. Every order in which a crash can end a first start passes.
 */
export async function openKey(store: Store, state: string): Promise<MasterKey> {
  requirePair(store.query, state);
  if (store.query.meta.get(WRITTEN_BY) === undefined) await store.commit([["meta.set", WRITTEN_BY, version]]);
  const key = loadMasterKey(state, randomBytes);
  requireSame(store.query, state, key);
  if (store.query.meta.get(FINGERPRINT) === undefined)
    await store.commit([["meta.set", FINGERPRINT, fingerprintOf(key)]]);
  return key;
}

/** The key of a state that is only read: nothing is made. */
export function existingKey(query: Queries, state: string): MasterKey {
  requirePair(query, state);
  if (!existsSync(fileOf(state))) throw lost(state);
  const key = loadMasterKey(state, randomBytes);
  requireSame(query, state, key);
  return key;
}

function requirePair(query: Queries, state: string): void {
  const stands = existsSync(fileOf(state));
  if (stands && query.meta.get(WRITTEN_BY) === undefined) {
    throw new CommandError(
      `\`${state}\` has a vault key, but its database is empty: ` +
        "put back a backup of the folder, or move the folder away to start with an empty state",
    );
  }
  if (!stands && (query.meta.get(FINGERPRINT) ?? query.audit.extent().lastSeq ?? undefined) !== undefined)
    throw lost(state);
}

function requireSame(query: Queries, state: string, key: MasterKey): void {
  const known = query.meta.get(FINGERPRINT);
  if (known === undefined || known === fingerprintOf(key)) return;
  throw new CommandError(
    `the vault key \`${fileOf(state)}\` is not the one of this state: ` +
      "restore it from a backup, or move the folder away to start with an empty state",
  );
}

const lost = (state: string): CommandError =>
  new CommandError(
    `the vault key \`${fileOf(state)}\` is missing: ` +
      "restore it from a backup, or move the folder away to start with an empty state",
  );

const fileOf = (state: string): string => join(state, "vault.key");
const fingerprintOf = (key: MasterKey): string => createHash("sha256").update(key.auditSigner.publicKey).digest("hex");
