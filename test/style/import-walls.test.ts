import { guard } from "./guard.ts";
import { importsOf, resolveImport } from "./imports.ts";
import { readSource, type Source } from "./source.ts";
import { production, zoneOf } from "./tree.ts";

/** The arrows of ARCHITECTURE.md. */
const ZONES_ALLOWED: Readonly<Record<string, readonly string[]>> = {
  lib: ["lib"],
  protocol: ["protocol", "lib"],
  user: ["user", "protocol", "lib"],
  mesh: ["mesh", "protocol", "lib"],
  agent: ["agent", "protocol", "lib"],
};
/** Packages a zone may load; Node's own modules are held by owners.test.ts. */
const PACKAGES_ALLOWED: Readonly<Record<string, readonly string[]>> = {
  lib: [],
  protocol: ["zod"],
  user: ["zod", "yaml"],
  mesh: ["zod", "yaml", "undici", "ssh2", "@pydantic/genai-prices", "croner", "@bufbuild/cel"],
  agent: [],
};
/** These two are pure: no module of Node either. */
const WITHOUT_NODE = ["lib", "protocol"];

function wallFaults(source: Source): readonly string[] {
  const zone = zoneOf(source.path);
  return importsOf(source).flatMap(({ specifier, typeOnly }) => {
    const target = resolveImport(source.path, specifier);
    const fault = (fix: string): string[] => [`${source.path}: imports \`${specifier}\`: ${fix}`];
    if (target !== undefined) {
      const allowed = ZONES_ALLOWED[zone] ?? [];
      return allowed.includes(zoneOf(target)) ? [] : fault(`${zone} may import ${allowed.join(", ")}`);
    }
    if (specifier.startsWith("node:")) return WITHOUT_NODE.includes(zone) ? fault(`${zone} knows no Node`) : [];
    if (typeOnly && zone !== "lib") return [];
    const name = specifier
      .split("/")
      .slice(0, specifier.startsWith("@") ? 2 : 1)
      .join("/");
    return PACKAGES_ALLOWED[zone]?.includes(name) ? [] : fault(`this package is not one of ${zone}`);
  });
}

guard({
  name: "zones import along the allowed arrows only",
  over: production,
  faults: wallFaults,
  sabotage: [
    readSource("agent/loop/a.ts", 'import { seal } from "../../mesh/vault/envelope.ts";'),
    readSource("agent/loop/a.ts", 'import type { Vault } from "../../mesh/vault/vault.ts";'),
    readSource("mesh/door/a.ts", 'export { b } from "../../user/cli/b.ts";'),
    readSource("user/cli/a.ts", 'const m = await import("../../mesh/main.ts");'),
    readSource("lib/a.ts", 'import { limits } from "./../protocol/limits.ts";'),
    readSource("lib/a.ts", 'import { readFileSync } from "node:fs";'),
    readSource("protocol/a.ts", 'import "node:net";'),
    readSource("agent/a.ts", 'import { z } from "zod";'),
    readSource("mesh/a.ts", 'import express from "express";'),
    readSource("mesh/a.ts", 'import { x } from "../test/x.ts";'),
  ],
  harmless: [readSource("mesh/door/a.ts", 'import { b } from "../policy/b.ts";\nimport { z } from "zod";')],
});

/**
 * Runtime imports only: what type stripping erases loads nothing and closes no cycle.
 * `import { type A } from` stays as an empty import, so it counts.
 */
function runtimeGraph(sources: readonly Source[]): ReadonlyMap<string, readonly string[]> {
  return new Map(
    sources.map((source) => [
      source.path,
      importsOf(source)
        .filter((item) => !item.typeOnly)
        .map((item) => resolveImport(source.path, item.specifier) ?? item.specifier),
    ]),
  );
}

/** Everything that `entry` loads, as paths and package names, with one way to it. */
function loadedBy(entry: string, graph: ReadonlyMap<string, readonly string[]>): ReadonlyMap<string, string> {
  const ways = new Map<string, string>();
  const queue: [string, string][] = [[entry, entry]];
  for (let item = queue.pop(); item !== undefined; item = queue.pop()) {
    const [path, way] = item;
    if (ways.has(path)) continue;
    ways.set(path, way);
    for (const next of graph.get(path) ?? []) queue.push([next, `${way} -> ${next}`]);
  }
  return ways;
}

function imageFaults(graph: ReadonlyMap<string, readonly string[]>): readonly string[] {
  const entry = "agent/init/main.ts";
  if (!graph.has(entry)) return [`\`${entry}\` is missing: there is no agent image to check`];
  return [...loadedBy(entry, graph)].flatMap(([path, way]) => {
    const carried = /^(?:agent|protocol|lib)\//.test(path) ? graph.has(path) : path.startsWith("node:");
    return carried ? [] : [`the agent image cannot carry \`${path}\`: ${way}; use \`import type\``];
  });
}

guard({
  name: "the agent image loads agent, protocol and lib, and no package",
  over: [runtimeGraph(production)],
  faults: imageFaults,
  sabotage: [
    new Map(),
    runtimeGraph([
      readSource("agent/init/main.ts", 'import { a } from "../loop/a.ts";'),
      readSource("agent/loop/a.ts", 'import { toolNames } from "../../protocol/door.ts";'),
      readSource("protocol/door.ts", 'import { z } from "zod";'),
    ]),
    runtimeGraph([readSource("agent/init/main.ts", 'import { a } from "../loop/gone.ts";')]),
  ],
  harmless: [
    runtimeGraph([
      readSource("agent/init/main.ts", 'import type { Self } from "../../protocol/door.ts";\nimport "node:fs";'),
      readSource("protocol/door.ts", 'import { z } from "zod";'),
    ]),
  ],
});

function cycleFaults(graph: ReadonlyMap<string, readonly string[]>): readonly string[] {
  const done = new Set<string>();
  const faults: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path);
    if (start >= 0) faults.push(`import cycle: ${[...trail.slice(start), path].join(" -> ")}`);
    if (start >= 0 || done.has(path)) return;
    for (const next of graph.get(path) ?? []) visit(next, [...trail, path]);
    done.add(path);
  };
  for (const path of graph.keys()) visit(path, []);
  return faults;
}

guard({
  name: "no import cycles",
  over: [runtimeGraph(production)],
  faults: cycleFaults,
  sabotage: [
    runtimeGraph([
      readSource("mesh/a.ts", 'import { b } from "./b.ts";'),
      readSource("mesh/b.ts", 'export { c } from "./c.ts";'),
      readSource("mesh/c.ts", 'import { a } from "./a.ts";'),
    ]),
  ],
  harmless: [
    runtimeGraph([
      readSource("mesh/a.ts", 'import { b } from "./b.ts";'),
      readSource("mesh/b.ts", 'import type { A } from "./a.ts";'),
    ]),
  ],
});
