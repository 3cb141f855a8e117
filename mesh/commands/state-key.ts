import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Secret } from "../../lib/redact.ts";
import type { Queries } from "../store/queries.ts";
import type { Store } from "../store/store.ts";
import { KEY_BYTES } from "../vault/envelope.ts";
import {
  dropDrafts,
  dropNextKey,
  KEY_FILE,
  keepNextKey,
  NEXT_KEY_FILE,
  openKeyFile,
  promoteNextKey,
  keepKeyFile,
  type KeyFile,
  type KeyOpener,
} from "../vault/key-file.ts";
import { masterKeyOf, sealLasting, type MasterKey } from "../vault/master-key.ts";
import type { Vault } from "../vault/vault.ts";
import { CommandError } from "./failure.ts";
import { version } from "./installation.ts";

/** Names in `meta`: which version wrote the state (before any key is made), its master key, and the keys that outlive one. */
const WRITTEN_BY = "version";
const FINGERPRINT = "vault_key";
const LASTING = "vault_lasting";

export interface StateKey extends MasterKey {
  readonly file: KeyFile;
}

/**
 * The key of a state, made on its first use. Key and database belong together: when one of them is lost or was
 * exchanged, going on would hide what the other one knows. Every order in which a crash can end a first start, or a
 * change of the master key, passes.
 */
export async function openKey(store: Store, state: string, opener?: KeyOpener): Promise<StateKey> {
  requirePair(store.query, state);
  if (store.query.meta.get(WRITTEN_BY) === undefined) await store.commit([["meta.set", WRITTEN_BY, version]]);
  const found = chosen(store.query, state, opener);
  if (found?.next) promoteNextKey(state);
  else dropNextKey(state);
  dropDrafts(state);
  const key = found?.key ?? keyOf(keepKeyFile(state, randomBytes), store.query);
  if (store.query.meta.get(FINGERPRINT) === undefined) await store.commit([["meta.set", FINGERPRINT, key.fingerprint]]);
  return key;
}

/** The key of a state that is only read: nothing is made. */
export function existingKey(query: Queries, state: string, opener?: KeyOpener): StateKey {
  requirePair(query, state);
  const found = chosen(query, state, opener);
  if (!found) throw lost(state);
  return found.key;
}

/** A new master key: one transaction wraps every data key with it, and a crash at any moment leaves one of the two that opens all. */
export async function rotateMasterKey(
  state: string,
  vault: Pick<Vault, "rewrap">,
  key: StateKey,
  by: string,
): Promise<StateKey> {
  const { protection } = key.file;
  const file: KeyFile = { master: new Secret(randomBytes(KEY_BYTES)), ...(protection && { protection }) };
  const fresh = masterKeyOf(file);
  const lasting = sealLasting(key, fresh.wrapping, randomBytes);
  keepNextKey(state, file, randomBytes);
  await vault.rewrap(fresh.wrapping, by, [
    ["meta.set", LASTING, lasting.toString("base64")],
    ["meta.set", FINGERPRINT, fresh.fingerprint],
  ]);
  promoteNextKey(state);
  return { ...masterKeyOf(file, lasting), file };
}

/** The file whose key the database names: after a crash that can be the next one. */
function chosen(
  query: Queries,
  state: string,
  opener: KeyOpener | undefined,
): { readonly key: StateKey; readonly next: boolean } | undefined {
  const known = query.meta.get(FINGERPRINT);
  const asked = once(opener);
  try {
    for (const name of [KEY_FILE, NEXT_KEY_FILE]) {
      const file = openKeyFile(state, asked.opener, name);
      if (!file) continue;
      const fresh = masterKeyOf(file);
      const next = name === NEXT_KEY_FILE;
      if (known === fresh.fingerprint || (known === undefined && !next)) return { key: keyOf(file, query), next };
    }
  } finally {
    asked.erase();
  }
  if (!existsSync(fileOf(state))) return undefined;
  throw new CommandError(
    `the vault key \`${fileOf(state)}\` is not the one of this state: ` +
      "restore it from a backup, or move the folder away to start with an empty state",
  );
}

function keyOf(file: KeyFile, query: Queries): StateKey {
  const lasting = query.meta.get(LASTING);
  return { ...masterKeyOf(file, lasting === undefined ? undefined : Buffer.from(lasting, "base64")), file };
}

/** Two files may have to be opened; a person is asked once, and what was entered does not outlive the opening. */
function once(opener: KeyOpener | undefined): { readonly opener?: KeyOpener; erase(): void } {
  if (!opener) return { erase: () => undefined };
  let known: Buffer | undefined;
  return {
    // What a server has unwrapped is known already, and may be another key for each file.
    opener: (wrapped) => (wrapped ? opener(wrapped) : Buffer.from((known ??= opener()))),
    erase: () => void known?.fill(0),
  };
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

const lost = (state: string): CommandError =>
  new CommandError(
    `the vault key \`${fileOf(state)}\` is missing: ` +
      "restore it from a backup, or move the folder away to start with an empty state",
  );

const fileOf = (state: string): string => join(state, KEY_FILE);
