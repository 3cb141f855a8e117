/** A PostgreSQL on loopback with TLS, and something in it: for tests of the broker. */
import { freePort } from "./free-port.ts";
import { startPostgres } from "./postgres.ts";
import type { OutsideAuthority } from "./web-place.ts";

export interface DatabaseServer {
  readonly port: number;
  /** As the owner of all, past any broker; rows without decoration. */
  sql(text: string): string;
  /** Ends with the folder. */
  stop(): Promise<void>;
}

/** `role` logs in with `password`, hashed as `auth` says, and owns what it makes in the database `shop`. */
export async function startDatabase(
  authority: OutsideAuthority,
  role: string,
  password: string,
  auth: "scram-sha-256" | "md5" | "trust" = "scram-sha-256",
): Promise<DatabaseServer> {
  const { key, cert } = authority.issue("db.test");
  const port = await freePort();
  const hash = auth === "md5" ? "md5" : "scram-sha-256";
  const { sql, stop } = await startPostgres({
    superuser: "owner",
    initdb: ["--no-sync"],
    settings: ["listen_addresses=127.0.0.1", "ssl=on", "fsync=off", `password_encryption=${hash}`],
    port,
    files: {
      "server.key": key,
      "server.crt": cert,
      "pg_hba.conf": `local all owner trust\nhost all ${role} 127.0.0.1/32 ${auth}\n`,
    },
  });
  const shop = (text: string): string => sql(text, "shop");
  try {
    sql(`CREATE ROLE ${role} LOGIN PASSWORD '${password}'`);
    sql("CREATE ROLE boss NOLOGIN");
    sql(`GRANT boss TO ${role}`);
    sql(`CREATE DATABASE shop OWNER ${role}`);
    sql("CREATE DATABASE other");
    shop(`CREATE TABLE orders (id int, note text); ALTER TABLE orders OWNER TO ${role}`);
    shop("INSERT INTO orders SELECT i, 'note ' || i FROM generate_series(1, 1000) i");
  } catch (error) {
    await stop();
    throw error;
  }
  return { port, sql: shop, stop };
}
