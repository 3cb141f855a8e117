/** A PostgreSQL as installed, in a temporary folder, on loopback with TLS: for tests of the broker. */
import { execFileSync, spawn } from "node:child_process";
import { chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { OutsideAuthority } from "./web-place.ts";

export interface DatabaseServer {
  readonly port: number;
  /** As the owner of all, past any broker; rows without decoration. */
  sql(text: string): string;
  /** Ends with the folder. */
  stop(): Promise<void>;
}

const VERSIONS = "/usr/lib/postgresql";
/** Undefined: none is installed. */
export const postgresVersion = existsSync(VERSIONS) ? readdirSync(VERSIONS).toSorted().at(-1) : undefined;

/** `role` logs in with `password`, hashed as `auth` says, and owns what it makes in the database `shop`. */
export async function startDatabase(
  authority: OutsideAuthority,
  role: string,
  password: string,
  auth: "scram-sha-256" | "md5" | "trust" = "scram-sha-256",
): Promise<DatabaseServer> {
  const program = (name: string): string => join(VERSIONS, postgresVersion ?? "", "bin", name);
  const folder = mkdtempSync(join(tmpdir(), "cordon-database-"));
  // It refuses to run as root, and keys that others own.
  const owner = process.getuid?.() === 0 ? idsOf("postgres") : {};
  const own = (path: string): void => {
    if (owner.uid !== undefined && owner.gid !== undefined) chownSync(path, owner.uid, owner.gid);
  };
  own(folder);
  const data = join(folder, "data");
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  try {
    const options = { ...owner, cwd: folder, stdio: "ignore" } as const;
    execFileSync(program("initdb"), ["-D", data, "-U", "owner", "-A", "trust", "-E", "UTF8", "--no-sync"], options);
    const { key, cert } = authority.issue("db.test");
    for (const [name, text] of [
      ["server.key", key],
      ["server.crt", cert],
      ["pg_hba.conf", `local all owner trust\nhost all ${role} 127.0.0.1/32 ${auth}\n`],
    ] as const) {
      writeFileSync(join(data, name), text, { mode: 0o600 });
      own(join(data, name));
    }
    const port = await freePort();
    const hash = auth === "md5" ? "md5" : "scram-sha-256";
    const settings = [
      `port=${port}`,
      "listen_addresses=127.0.0.1",
      "ssl=on",
      "fsync=off",
      `password_encryption=${hash}`,
    ];
    const server = spawn(
      program("postgres"),
      ["-D", data, "-k", folder, ...settings.flatMap((each) => ["-c", each])],
      options,
    );
    const ended = new Promise<void>((resolve) => server.once("exit", () => resolve()));
    const sql = (text: string, database = "shop"): string =>
      execFileSync(program("psql"), ["-h", folder, "-p", String(port), "-U", "owner", "-d", database, "-XAtqc", text], {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "pipe"],
      }).trim();
    const isReady = (): boolean => {
      try {
        return sql("SELECT 1", "postgres") === "1";
      } catch {
        return false;
      }
    };
    for (let tries = 0; !isReady(); tries++) {
      if (tries > 300 || server.exitCode !== null) throw new Error("PostgreSQL did not start");
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    sql(`CREATE ROLE ${role} LOGIN PASSWORD '${password}'`, "postgres");
    sql("CREATE ROLE boss NOLOGIN", "postgres");
    sql(`GRANT boss TO ${role}`, "postgres");
    sql(`CREATE DATABASE shop OWNER ${role}`, "postgres");
    sql("CREATE DATABASE other", "postgres");
    sql(`CREATE TABLE orders (id int, note text); ALTER TABLE orders OWNER TO ${role}`);
    sql("INSERT INTO orders SELECT i, 'note ' || i FROM generate_series(1, 1000) i");
    return {
      port,
      sql: (text) => sql(text),
      stop: async () => {
        server.kill("SIGINT");
        await ended;
        remove();
      },
    };
  } catch (error) {
    remove();
    throw error;
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return port;
}

function idsOf(user: string): { readonly uid?: number; readonly gid?: number } {
  const line = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .find((text) => text.startsWith(`${user}:`));
  const [, , uid, gid] = line?.split(":") ?? [];
  return uid === undefined || gid === undefined ? {} : { uid: Number(uid), gid: Number(gid) };
}
