import type { Prepare } from "../database.ts";

/** Facts about the state as a whole: when it was made, by which version, under which fleet name. */
export const metaTables = `
  CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
`;

export const metaStatements = {
  /** (key, value): inserts or replaces. */
  "meta.set": "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
} as const;

export function metaQueries(prepare: Prepare) {
  const get = prepare<{ value: string }>("SELECT value FROM meta WHERE key = ?");
  return { get: (key: string): string | undefined => get.get(key)?.value };
}
