import { limits } from "../../protocol/limits.ts";
import { guard } from "./guard.ts";
import { readSource, type Source } from "./source.ts";
import { production } from "./tree.ts";

/** A plural names what is counted: `messagesMax`, `commandWordsMax`. These name it without one. */
const UNITS = new Set(["ms", "id", "count", "depth", "burst"]);
const saysUnit = (name: string): boolean =>
  name
    .replace(/([a-z])([A-Z])/g, "$1 $2")
    .toLowerCase()
    .split(" ")
    .some(
      (word) => UNITS.has(word) || /^(?!access|process).{2,}s$/.test(word) || word === "second" || word === "minute",
    );

const leaves = (tree: object, trail: readonly string[] = []): string[] =>
  Object.entries(tree).flatMap(([name, value]) =>
    typeof value === "object" && value !== null
      ? leaves(value as object, [...trail, name])
      : [[...trail, name].join(".")],
  );

guard({
  name: "every limit names its unit",
  over: leaves(limits),
  faults: (path) => {
    const name = path.split(".").at(-1) ?? "";
    return saysUnit(name)
      ? []
      : [`protocol/limits.ts: \`${path}\` says no unit: for example \`${name}Ms\` or \`${name}Count\``];
  },
  sabotage: ["door.timeout", "board.size", "model.max", "desk.waitMax"],
  harmless: ["door.headerBytesMax", "door.keepAliveMs", "name.charsMax", "door.requestsPerSecond"],
});

/** A limit that nothing reads protects nothing. `limits.door.bodyBytesMax`, or `const { bodyBytesMax } = limits.door`. */
function unused(path: string, sources: readonly Source[]): readonly string[] {
  const [group = "", ...rest] = path.split(".");
  const name = rest.at(-1) ?? group;
  const reads = (source: Source): boolean =>
    source.path !== "protocol/limits.ts" &&
    new RegExp(`\\blimits\\s*\\.\\s*${group}\\b`).test(source.code) &&
    new RegExp(`\\b${name}\\b`).test(source.code);
  return sources.some(reads) ? [] : [`protocol/limits.ts: \`${path}\` is read nowhere: hold it or remove it`];
}

guard({
  name: "every limit is held somewhere",
  over: leaves(limits).map((path) => ({ path, sources: production })),
  faults: ({ path, sources }) => unused(path, sources),
  sabotage: [
    { path: "door.bodyBytesMax", sources: [] },
    { path: "door.bodyBytesMax", sources: [readSource("mesh/a.ts", "// limits.door.bodyBytesMax")] },
    {
      path: "door.bodyBytesMax",
      sources: [readSource("mesh/a.ts", "limits.door.headerBytesMax; limits.desk.waitMs;")],
    },
  ],
  harmless: [
    { path: "door.bodyBytesMax", sources: [readSource("mesh/a.ts", "f(limits.door.bodyBytesMax);")] },
    { path: "door.bodyBytesMax", sources: [readSource("mesh/a.ts", "const { bodyBytesMax } = limits.door;")] },
  ],
});
