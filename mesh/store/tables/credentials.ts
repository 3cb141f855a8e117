import type { Prepare } from "../database.ts";

/** Sealed bytes only: the vault holds the keys. A revoked version keeps its row, without its bytes. */
export const credentialTables = `
  CREATE TABLE credential (
    tenant          TEXT NOT NULL,
    name            TEXT NOT NULL,
    version         INTEGER NOT NULL CHECK (version >= 1),
    wrapped_key     BLOB NOT NULL,
    sealed_value    BLOB NOT NULL,
    created_at_ms   INTEGER NOT NULL,
    uses            INTEGER NOT NULL CHECK (uses >= 0),
    last_used_at_ms INTEGER,
    revoked         INTEGER NOT NULL CHECK (revoked IN (0, 1)),
    PRIMARY KEY (tenant, name, version)
  ) STRICT;
`;

export const credentialStatements = {
  /** (tenant, name, version, wrapped_key, sealed_value, created_at_ms): not used, not revoked. */
  "credentials.insert": `INSERT INTO credential
    (tenant, name, version, wrapped_key, sealed_value, created_at_ms, uses, revoked)
    VALUES (?, ?, ?, ?, ?, ?, 0, 0)`,
  /** (last_used_at_ms, tenant, name, version): counts one use. */
  "credentials.use": `UPDATE credential SET uses = uses + 1, last_used_at_ms = ?
    WHERE tenant = ? AND name = ? AND version = ?`,
  /** (tenant, name, version): marks one version and erases its bytes. */
  "credentials.revoke": `UPDATE credential SET revoked = 1, wrapped_key = x'', sealed_value = x''
    WHERE tenant = ? AND name = ? AND version = ?`,
  /** (tenant, name): marks all versions and erases their bytes. */
  "credentials.revokeAll": `UPDATE credential SET revoked = 1, wrapped_key = x'', sealed_value = x''
    WHERE tenant = ? AND name = ?`,
  /** (wrapped_key, tenant, name, version): the same value under a new master key. */
  "credentials.rewrap": `UPDATE credential SET wrapped_key = ?
    WHERE tenant = ? AND name = ? AND version = ? AND revoked = 0`,
} as const;

export interface CredentialRow {
  readonly name: string;
  readonly version: number;
  readonly wrappedKey: Uint8Array;
  readonly sealedValue: Uint8Array;
  readonly createdAtMs: number;
  readonly uses: number;
  readonly lastUsedAtMs: number | null;
  readonly revoked: 0 | 1;
}

const CREDENTIAL = `name, version, wrapped_key AS wrappedKey, sealed_value AS sealedValue, created_at_ms AS createdAtMs,
  uses, last_used_at_ms AS lastUsedAtMs, revoked`;

export function credentialQueries(prepare: Prepare) {
  const all = prepare<CredentialRow>(`SELECT ${CREDENTIAL} FROM credential WHERE tenant = ? ORDER BY name, version`);
  const newest = prepare<CredentialRow>(
    `SELECT ${CREDENTIAL} FROM credential WHERE tenant = ? AND name = ? ORDER BY version DESC LIMIT 1`,
  );
  return {
    /** Every version of every credential, the revoked among them. */
    all: (tenant: string): CredentialRow[] => all.all(tenant),
    /** The highest version of a name, revoked or not: the next one is higher by one. */
    newest: (tenant: string, name: string): CredentialRow | undefined => newest.get(tenant, name),
  };
}
