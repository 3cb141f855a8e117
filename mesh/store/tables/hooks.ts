import type { Prepare } from "../database.ts";

/** Deliveries of webhooks that were found genuine, so that none is taken twice. No content: digests and ids only. */
export const hookTables = `
  CREATE TABLE hook_delivery (
    tenant        TEXT NOT NULL,
    hook          TEXT NOT NULL,
    delivery      TEXT NOT NULL,
    at_ms         INTEGER NOT NULL,
    expires_at_ms INTEGER,
    PRIMARY KEY (tenant, hook, delivery)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX hook_delivery_by_end ON hook_delivery (expires_at_ms) WHERE expires_at_ms IS NOT NULL;
`;

export const hookStatements = {
  /** (tenant, hook, delivery, at_ms, expires_at_ms | null): a second row of a delivery is an error. */
  "hooks.insertDelivery":
    "INSERT INTO hook_delivery (tenant, hook, delivery, at_ms, expires_at_ms) VALUES (?, ?, ?, ?, ?)",
  /** (expires_at_ms): forgets what its signed time alone keeps out by now. */
  "hooks.forgetDeliveries": "DELETE FROM hook_delivery WHERE expires_at_ms IS NOT NULL AND expires_at_ms < ?",
} as const;

export function hookQueries(prepare: Prepare) {
  const seen = prepare<{ atMs: number }>(
    "SELECT at_ms AS atMs FROM hook_delivery WHERE tenant = ? AND hook = ? AND delivery = ?",
  );
  return {
    seen: (tenant: string, hook: string, delivery: string): boolean => seen.get(tenant, hook, delivery) !== undefined,
  };
}
