import { readdir } from "node:fs/promises";
import { join } from "node:path";

/**
 * Regular files below `folder`, whole paths. Links are not followed: Node's own recursive listing enters folders through
 * them, and an agent's volume may hold one that leads to the root of the host.
 */
export async function* filesBelow(folder: string): AsyncGenerator<string> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* filesBelow(path);
    else if (entry.isFile()) yield path;
  }
}
