/** A PostgreSQL of its own in a temporary folder: as installed, so with fsync and synchronous commits, on a socket only. */
import { execFileSync, spawn } from "node:child_process";
import { chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Postgres {
  /** Address of a database that is still to be made. */
  readonly url: string;
  readonly version: string;
  stop(): Promise<void>;
}

const VERSIONS = "/usr/lib/postgresql";

/** Undefined when no PostgreSQL is installed. */
export async function startPostgres(): Promise<Postgres | undefined> {
  const version = existsSync(VERSIONS) ? readdirSync(VERSIONS).toSorted().at(-1) : undefined;
  if (version === undefined) return undefined;
  const program = (name: string): string => join(VERSIONS, version, "bin", name);
  // It refuses to run as root.
  const owner = process.getuid?.() === 0 ? idsOf("postgres") : {};
  const folder = mkdtempSync(join(tmpdir(), "cordon-postgres-"));
  if (owner.uid !== undefined && owner.gid !== undefined) chownSync(folder, owner.uid, owner.gid);
  const data = join(folder, "data");
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  try {
    const options = { ...owner, cwd: folder, stdio: "ignore" } as const;
    execFileSync(program("initdb"), ["-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8"], options);
    const server = spawn(program("postgres"), ["-D", data, "-k", folder, "-c", "listen_addresses="], options);
    const ended = new Promise<void>((resolve) => server.once("exit", () => resolve()));
    const ready = (): boolean => {
      try {
        execFileSync(program("pg_isready"), ["-h", folder, "-q"], { stdio: "ignore" });
        return true;
      } catch {
        return false;
      }
    };
    for (let tries = 0; !ready(); tries++) {
      if (tries > 300 || server.exitCode !== null) throw new Error("PostgreSQL did not start");
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    return {
      url: `postgresql://postgres@localhost/bench?host=${encodeURIComponent(folder)}`,
      version,
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

function idsOf(user: string): { readonly uid?: number; readonly gid?: number } {
  const line = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .find((text) => text.startsWith(`${user}:`));
  const [, , uid, gid] = line?.split(":") ?? [];
  return uid === undefined || gid === undefined ? {} : { uid: Number(uid), gid: Number(gid) };
}
