import { chmod, mkdtemp, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** A file of the host that everybody on the host may read: nothing but the fence keeps an agent from it. */
export interface HostFile {
  readonly path: string;
  /** `unread` is null where the file system does not note when a file was read. */
  inspect(): Promise<{ readonly unchanged: boolean; readonly unread: boolean | null }>;
  remove(): Promise<void>;
}

const LONG_AGO = new Date("2000-01-01T00:00:00Z");

export async function plantHostFile(temporaryFolder: string, content: string): Promise<HostFile> {
  const folder = await mkdtemp(join(temporaryFolder, "cordon-host-"));
  await chmod(folder, 0o755);
  const path = join(folder, "salaries.txt");
  await writeFile(path, content, { mode: 0o644 });
  // Read once by ourselves, to learn whether reading leaves a trace here.
  await utimes(path, LONG_AGO, LONG_AGO);
  await readFile(path);
  const traced = (await stat(path)).atimeMs !== LONG_AGO.getTime();
  await utimes(path, LONG_AGO, LONG_AGO);
  return {
    path,
    async inspect() {
      const before = await stat(path).catch(() => undefined);
      const now = await readFile(path, "utf8").catch(() => undefined);
      const unread = before === undefined ? false : before.atimeMs === LONG_AGO.getTime();
      return { unchanged: now === content && before?.mtimeMs === LONG_AGO.getTime(), unread: traced ? unread : null };
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}
