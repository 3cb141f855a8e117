import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { err, ok, type Result } from "../../lib/result.ts";
import { limits } from "../../protocol/limits.ts";
import { refusal, type Refusal } from "../../protocol/refusal.ts";

/**
 * The agent's own notebook on its own volume. Keeping paths inside the folder is a convenience that stops a
 * model from overwriting its sessions by mistake; it is no wall, because this process may do as it likes
 * with its volume. The wall is the sandbox.
 */
export interface DataFolder {
  list(): Result<{ readonly files: readonly { readonly path: string; readonly bytes: number }[] }, Refusal>;
  read(path: unknown): Result<{ readonly path: string; readonly content: string }, Refusal>;
  write(path: unknown, content: unknown): Result<{ readonly path: string; readonly bytes: number }, Refusal>;
}

export function openDataFolder(folder: string): DataFolder {
  return {
    list: () =>
      guarded(folder, () => {
        const files = [...filesBelow(folder)]
          .slice(0, limits.agent.dataFilesMax)
          .map((whole) => ({ path: relative(folder, whole), bytes: statSync(whole).size }));
        return ok({ files: files.sort((a, b) => (a.path < b.path ? -1 : 1)) });
      }),
    read: (path) =>
      guarded(path, () => {
        if (!isInside(path)) return badPath;
        const whole = join(folder, path);
        if (statSync(whole).size > limits.tool.fileBytesMax) return tooLarge;
        return ok({ path, content: readFileSync(whole, "utf8") });
      }),
    write: (path, content) =>
      guarded(path, () => {
        if (!isInside(path)) return badPath;
        if (typeof content !== "string") return err(refusal("malformed", "`content` is not text", "pass a string"));
        const bytes = Buffer.byteLength(content);
        if (bytes > limits.tool.fileBytesMax) return tooLarge;
        const whole = join(folder, path);
        mkdirSync(dirname(whole), { recursive: true });
        writeFileSync(whole, content);
        return ok({ path, bytes });
      }),
  };
}

const badPath = err(
  refusal("malformed", "`path` is not a relative path inside the data folder", "use a path such as `notes/a.md`"),
);
const tooLarge = err(
  refusal("too_large", `the file is larger than ${limits.tool.fileBytesMax} bytes`, "use smaller files"),
);

function isInside(path: unknown): path is string {
  if (typeof path !== "string" || path.length > limits.tool.pathBytesMax) return false;
  return path
    .split("/")
    .every((segment) => /^[\p{L}\p{N}._ ()+-]+$/u.test(segment) && segment !== "." && segment !== "..");
}

function guarded<T>(what: unknown, act: () => Result<T, Refusal>): Result<T, Refusal> {
  try {
    return act();
  } catch (fault) {
    const code = (fault as NodeJS.ErrnoException).code ?? "unknown fault";
    if (code === "ENOENT") return err(refusal("not_found", `there is no \`${String(what)}\``, "list the folder first"));
    if (code === "ENOSPC" || code === "EDQUOT")
      return err(refusal("too_large", "the data folder is full", "write less"));
    return err(refusal("denied", `\`${String(what)}\`: ${code}`, "use another path"));
  }
}

/** Node's own recursive listing enters folders through links, also one that leads to itself. */
function* filesBelow(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* filesBelow(path);
    else if (entry.isFile()) yield path;
  }
}
