import { lstat, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { FilePath } from "../../../protocol/names.ts";
import { codeOf, Failure } from "../failure.ts";
import { filesBelow } from "./files-below.ts";

/** Marks a folder as the demo's own and lists what the demo wrote into it. */
const MARK = ".cordon-demo";
const FILES_MAX = 500;

/** Makes the folder, or empties it of what an earlier demo wrote; refuses a folder that holds anything else. */
export async function prepareOutput(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
  } catch (error) {
    throw new Failure(
      `the output folder \`${folder}\` cannot be made: ${codeOf(error)}`,
      "name another with `--output DIR`",
    );
  }
  const names = await readdir(folder);
  if (names.length > 0 && !names.includes(MARK)) {
    throw new Failure(
      `the output folder \`${folder}\` holds files that are not the demo's`,
      "name an empty or new one with `--output DIR`",
    );
  }
  for (const path of await listed(folder)) await removeFile(folder, path);
  await writeFile(join(folder, MARK), "[]\n");
}

/** Notes the files that are there now, so that the next demo may take them away; returns them. */
export async function noteOutput(
  folder: string,
): Promise<readonly { readonly path: string; readonly bytes: number }[]> {
  const found: { path: string; bytes: number }[] = [];
  for await (const file of filesBelow(folder)) {
    const path = relative(folder, file).split(sep).join("/");
    if (path !== MARK) found.push({ path, bytes: (await lstat(file)).size });
    if (found.length === FILES_MAX) break;
  }
  await writeFile(join(folder, MARK), `${JSON.stringify(found.map((file) => file.path))}\n`);
  return found.sort((a, b) => (a.path < b.path ? -1 : 1));
}

async function listed(folder: string): Promise<readonly string[]> {
  try {
    const paths: unknown = JSON.parse(await readFile(join(folder, MARK), "utf8"));
    return Array.isArray(paths) ? paths.filter((path) => FilePath.safeParse(path).success) : [];
  } catch {
    return [];
  }
}

/** Regular files only: the mark could have been edited, and a link could lead elsewhere. */
async function removeFile(folder: string, path: string): Promise<void> {
  const parents = path.split("/").slice(0, -1);
  for (let i = 1; i <= parents.length; i++) {
    const parent = await lstat(join(folder, ...parents.slice(0, i))).catch(() => undefined);
    if (!parent?.isDirectory()) return;
  }
  const found = await lstat(join(folder, path)).catch(() => undefined);
  if (found?.isFile()) await rm(join(folder, path), { force: true });
}
