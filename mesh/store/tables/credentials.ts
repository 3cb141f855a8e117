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

/** Versions that end by themselves, and who uses what, where: `agent` '' = the mesh itself; `hours` = bits of UTC hours. */
export const credentialLifecycle = `
  ALTER TABLE credential ADD COLUMN fingerprint TEXT NOT NULL DEFAULT '';
  ALTER TABLE credential ADD COLUMN expires_at_ms INTEGER;
  ALTER TABLE credential ADD COLUMN retires_at_ms INTEGER;

  CREATE TABLE credential_use (
    tenant           TEXT NOT NULL,
    name             TEXT NOT NULL,
    agent            TEXT NOT NULL,
    destination      TEXT NOT NULL,
    uses             INTEGER NOT NULL CHECK (uses >= 0),
    refusals         INTEGER NOT NULL CHECK (refusals >= 0),
    hours            INTEGER NOT NULL,
    first_used_at_ms INTEGER,
    last_used_at_ms  INTEGER,
    PRIMARY KEY (tenant, name, agent, destination)
  ) STRICT, WITHOUT ROWID;
`;

export const credentialStatements = {
  /** (tenant, name, version, wrapped_key, sealed_value, created_at_ms, fingerprint, expires_at_ms): the current one. */
  "credentials.insert": `INSERT INTO credential
    (tenant, name, version, wrapped_key, sealed_value, created_at_ms, fingerprint, expires_at_ms, uses, revoked)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 0)`,
  /** (uses, last_used_at_ms, tenant, name, version): counts them. */
  "credentials.use": `UPDATE credential SET uses = uses + ?, last_used_at_ms = ?
    WHERE tenant = ? AND name = ? AND version = ?`,
  /** (tenant, name, version): marks one version and erases its bytes. */
  "credentials.revoke": `UPDATE credential SET revoked = 1, wrapped_key = x'', sealed_value = x''
    WHERE tenant = ? AND name = ? AND version = ?`,
  /** (tenant, name): marks all versions and erases their bytes. */
  "credentials.revokeAll": `UPDATE credential SET revoked = 1, wrapped_key = x'', sealed_value = x''
    WHERE tenant = ? AND name = ?`,
  /** (retires_at_ms, tenant, name, version): no request takes it any more; it is known until then. */
  "credentials.retire": `UPDATE credential SET retires_at_ms = ?
    WHERE tenant = ? AND name = ? AND version = ? AND revoked = 0`,
  /** (wrapped_key, tenant, name, version): the same value under a new master key. */
  "credentials.rewrap": `UPDATE credential SET wrapped_key = ?
    WHERE tenant = ? AND name = ? AND version = ? AND revoked = 0`,
  /** (tenant, name, agent, destination, uses, bits of hours, first_used_at_ms, last_used_at_ms): adds to what is there. */
  "credentialUses.add": `INSERT INTO credential_use
    (tenant, name, agent, destination, uses, refusals, hours, first_used_at_ms, last_used_at_ms)
    VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?7, ?8)
    ON CONFLICT DO UPDATE SET uses = uses + excluded.uses, hours = hours | excluded.hours, last_used_at_ms = excluded.last_used_at_ms,
      first_used_at_ms = coalesce(first_used_at_ms, excluded.first_used_at_ms)`,
  /** (tenant, name, agent, destination, refusals) */
  "credentialUses.refuse": `INSERT INTO credential_use (tenant, name, agent, destination, uses, refusals, hours)
    VALUES (?, ?, ?, ?, 0, ?, 0)
    ON CONFLICT DO UPDATE SET refusals = refusals + excluded.refusals`,
} as const;

export interface CredentialRow {
  readonly name: string;
  readonly version: number;
  readonly wrappedKey: Uint8Array;
  readonly sealedValue: Uint8Array;
  readonly fingerprint: string;
  readonly createdAtMs: number;
  readonly expiresAtMs: number | null;
  readonly retiresAtMs: number | null;
  readonly uses: number;
  readonly lastUsedAtMs: number | null;
  readonly revoked: 0 | 1;
}

export interface CredentialUseRow {
  readonly name: string;
  readonly agent: string;
  readonly destination: string;
  readonly uses: number;
  readonly refusals: number;
  readonly hours: number;
  readonly firstUsedAtMs: number | null;
  readonly lastUsedAtMs: number | null;
}

const CREDENTIAL = `name, version, wrapped_key AS wrappedKey, sealed_value AS sealedValue, fingerprint,
  created_at_ms AS createdAtMs, expires_at_ms AS expiresAtMs, retires_at_ms AS retiresAtMs, uses,
  last_used_at_ms AS lastUsedAtMs, revoked`;

export function credentialQueries(prepare: Prepare) {
  const all = prepare<CredentialRow>(`SELECT ${CREDENTIAL} FROM credential WHERE tenant = ? ORDER BY name, version`);
  const newest = prepare<CredentialRow>(
    `SELECT ${CREDENTIAL} FROM credential WHERE tenant = ? AND name = ? ORDER BY version DESC LIMIT 1`,
  );
  const uses = prepare<CredentialUseRow>(
    `SELECT name, agent, destination, uses, refusals, hours, first_used_at_ms AS firstUsedAtMs,
      last_used_at_ms AS lastUsedAtMs FROM credential_use WHERE tenant = ? ORDER BY name, agent, destination`,
  );
  return {
    /** Every version of every credential, the revoked among them. */
    all: (tenant: string): CredentialRow[] => all.all(tenant),
    /** The highest version of a name, revoked or not: the next one is higher by one. */
    newest: (tenant: string, name: string): CredentialRow | undefined => newest.get(tenant, name),
    /** Who has used what, where. */
    uses: (tenant: string): CredentialUseRow[] => uses.all(tenant),
  };
}
