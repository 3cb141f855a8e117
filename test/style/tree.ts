import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readSource, type Source } from "./source.ts";

export const projectFolder = fileURLToPath(new URL("../..", import.meta.url));
export const zones = ["lib", "protocol", "user", "mesh", "agent"] as const;

/** What git ignores and what git keeps for itself. */
const SKIPPED = new Set(["node_modules", ".git", ".cache", ".cordon", "cordon-demo"]);

function* walk(folder: string): Generator<string> {
  for (const entry of readdirSync(join(projectFolder, folder), { withFileTypes: true })) {
    const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
    if (SKIPPED.has(entry.name)) continue;
    if (entry.isDirectory()) yield* walk(path);
    else if (entry.isFile()) yield path;
  }
}

/** Every file of the project, relative to its root, with `/`, sorted. */
export const allFiles: readonly string[] = [...walk("")].sort();

export const readText = (path: string): string => readFileSync(join(projectFolder, path), "utf8");

/** `mesh` for `mesh/door/door.ts`. */
export const zoneOf = (path: string): string => path.slice(0, path.indexOf("/"));

/** Tests, and the fakes beside code that only tests load. */
export const isTestCode = (path: string): boolean =>
  path.startsWith("test/") || path.endsWith(".test.ts") || path.includes("/testing/") || path.includes("/fixtures/");

/** Code of the five zones that ships: TypeScript, and the JavaScript that runs in probes. */
export const productionFiles = allFiles.filter(
  (path) =>
    (zones as readonly string[]).includes(zoneOf(path)) && /(?<!\.d)\.[cm]?[jt]s$/.test(path) && !isTestCode(path),
);
/** All TypeScript, tests too. */
export const typeScriptFiles = allFiles.filter((path) => path.endsWith(".ts"));

/** Runs inside sandboxes, on the attacker's side of the wall: what it must not reach, the kernel holds. */
export const isGuestCode = (path: string): boolean => /^mesh\/sandbox\/(?:probe|assault\/hostile)\//.test(path);

export const readSources = (paths: readonly string[]): readonly Source[] =>
  paths.map((path) => readSource(path, readText(path)));
export const production = readSources(productionFiles);
