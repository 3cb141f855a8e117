/** A PostgreSQL as installed, of its own in a temporary folder, on a socket there. */
import { execFileSync, spawn } from "node:child_process";
import { chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Postgres {
  /** Of the socket. */
  readonly folder: string;
  /** As the superuser; rows without decoration. */
  sql(text: string, database?: string): string;
  /** Ends with the folder. */
  stop(): Promise<void>;
}

export interface PostgresSettings {
  readonly superuser: string;
  /** Words for `initdb` and `NAME=VALUE` for the server. */
  readonly initdb?: readonly string[];
  readonly settings: readonly string[];
  readonly port?: number;
  /** Written into the data folder before the start, readable by the server alone. */
  readonly files?: Readonly<Record<string, string>>;
}

const VERSIONS = "/usr/lib/postgresql";
const DEFAULT_PORT = 5432;
/** Undefined: none is installed. */
export const postgresVersion = existsSync(VERSIONS) ? readdirSync(VERSIONS).toSorted().at(-1) : undefined;

export async function startPostgres({
  superuser,
  settings,
  initdb = [],
  port = DEFAULT_PORT,
  files = {},
}: PostgresSettings): Promise<Postgres> {
  const program = (name: string): string => join(VERSIONS, postgresVersion ?? "", "bin", name);
  const folder = mkdtempSync(join(tmpdir(), "cordon-postgres-"));
  // It refuses to run as root, and keys that others own.
  const owner = process.getuid?.() === 0 ? idsOf("postgres") : {};
  const own = (path: string): void => {
    if (owner.uid !== undefined && owner.gid !== undefined) chownSync(path, owner.uid, owner.gid);
  };
  own(folder);
  const data = join(folder, "data");
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  let stop = (): Promise<void> => Promise.resolve(remove());
  try {
    const options = { ...owner, cwd: folder, stdio: "ignore" } as const;
    execFileSync(program("initdb"), ["-D", data, "-U", superuser, "-A", "trust", "-E", "UTF8", ...initdb], options);
    for (const [name, text] of Object.entries(files)) {
      writeFileSync(join(data, name), text, { mode: 0o600 });
      own(join(data, name));
    }
    const words = [`port=${port}`, ...settings].flatMap((each) => ["-c", each]);
    const server = spawn(program("postgres"), ["-D", data, "-k", folder, ...words], options);
    const ended = new Promise<void>((resolve) => server.once("exit", () => resolve()).once("error", () => resolve()));
    // A test that fails, or is ended, must not leave it behind.
    const endWithTest = (): void => void server.kill("SIGINT");
    process.once("exit", endWithTest);
    stop = async () => {
      endWithTest();
      await ended;
      process.off("exit", endWithTest);
      remove();
    };
    const sql = (text: string, database = "postgres"): string =>
      execFileSync(program("psql"), ["-h", folder, "-p", `${port}`, "-U", superuser, "-d", database, "-XAtqc", text], {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "pipe"],
      }).trim();
    const isReady = (): boolean => {
      try {
        return sql("SELECT 1") === "1";
      } catch {
        return false;
      }
    };
    for (let tries = 0; !isReady(); tries++) {
      if (tries > 300 || server.exitCode !== null) throw new Error("PostgreSQL did not start");
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    return { folder, sql, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function idsOf(user: string): { readonly uid?: number; readonly gid?: number } {
  const line = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .find((text) => text.startsWith(`${user}:`));
  const [, , uid, gid] = line?.split(":") ?? [];
  return uid === undefined || gid === undefined ? {} : { uid: Number(uid), gid: Number(gid) };
}
