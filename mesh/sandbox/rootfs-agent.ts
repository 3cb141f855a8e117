/** The agent zone as plain JavaScript: what the entries import at run time, and nothing else. */
import { readFile } from "node:fs/promises";
import { stripTypeScriptTypes } from "node:module";
import { dirname, join, posix, relative, sep } from "node:path";
import { SandboxError } from "./backend.ts";
import { mapSpecifiers } from "./module-specifiers.ts";

/** The physical wall: no other folder of the tree can get into the image. */
const ZONES = ["agent/", "protocol/", "lib/"];

/** Path (`agent/init/main.js`) → source, in a fixed order. Throws SandboxError for an import that the image cannot hold. */
export async function compileAgent(
  projectDir: string,
  entries: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const done = new Map<string, string>();
  const todo = entries.map((entry) => posix.normalize(entry));
  for (let path = todo.pop(); path !== undefined; path = todo.pop()) {
    const target = path.replace(/\.ts$/, ".js");
    if (done.has(target)) continue;
    const { source, imports } = await compileFile(projectDir, path);
    done.set(target, source);
    todo.push(...imports);
  }
  return done;
}

async function compileFile(projectDir: string, path: string): Promise<{ source: string; imports: readonly string[] }> {
  const inside = relative(projectDir, join(projectDir, path)).split(sep).join("/");
  if (!ZONES.some((zone) => inside.startsWith(zone))) {
    throw new SandboxError(`\`${path}\` is outside the agent image`, `import only from \`${ZONES.join("`, `")}\``);
  }
  const text = await readFile(join(projectDir, path), "utf8").catch(() => {
    throw new SandboxError(`\`${path}\` does not exist`, "restore the file; the agent image needs it");
  });
  const stripped = path.endsWith(".ts") ? stripTypeScriptTypes(text, { mode: "strip" }) : text;
  const imports: string[] = [];
  const source = mapSpecifiers(stripped, (specifier) => {
    if (specifier.startsWith("node:")) return specifier;
    if (!/^\.{1,2}\//.test(specifier)) {
      throw new SandboxError(
        `\`${path}\` imports \`${specifier}\``,
        "the agent image carries no packages: use `import type`, or code of its own",
      );
    }
    imports.push(posix.join(dirname(path), specifier));
    return specifier.replace(/\.ts$/, ".js");
  });
  return { source, imports };
}
