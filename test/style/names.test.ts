import { guard } from "./guard.ts";
import { allFiles, isTestCode, production } from "./tree.ts";

/** Files whose names others fix. */
const FIXED_NAMES = /^(?:[A-Z]+(?:\.md)?|\..+|package(?:-lock)?\.json|tsconfig(?:\.[a-z]+)?\.json)$/;
const BANNED_WORDS = ["util", "utils", "helper", "helpers", "common", "manager", "misc", "stuff", "shared"];

function nameFaults(path: string): readonly string[] {
  return path.split("/").flatMap((part) => {
    const faults: string[] = [];
    const words = part.split(/[.-]/);
    if (!FIXED_NAMES.test(part) && !/^[a-z0-9]+(?:-[a-z0-9]+)*(?:\.[a-z0-9]+)*$/.test(part)) {
      faults.push(`${path}: \`${part}\` is not kebab-case`);
    }
    for (const word of words) {
      if (BANNED_WORDS.includes(word)) faults.push(`${path}: \`${word}\` names no concept: use the field's noun`);
    }
    return faults;
  });
}

guard({
  name: "files are named in kebab-case after what they hold",
  // What the examples' users bring keeps its own names.
  over: allFiles.filter((path) => !/^examples\/[^/]+\/texts\//.test(path)),
  faults: nameFaults,
  sabotage: [
    "mesh/door/doorListener.ts",
    "lib/string_tools.ts",
    "lib/utils.ts",
    "mesh/common/a.ts",
    "mesh/key-manager.ts",
  ],
  harmless: [
    "mesh/door/door-listener.test.ts",
    "README.md",
    "docs/decisions/0001-run-time.md",
    ".ci/run",
    "tsconfig.base.json",
  ],
});

const LINES_MAX = 400;
const LINES_MEDIAN_MAX = 130;
const lines = (text: string): number => text.split("\n").length - 1;

guard({
  name: `no production file is longer than ${LINES_MAX} lines`,
  over: production,
  faults: ({ path, text }) =>
    lines(text) > LINES_MAX ? [`${path}: ${lines(text)} lines: split it by concept, at most ${LINES_MAX}`] : [],
  sabotage: [{ ...production[0]!, text: "\n".repeat(LINES_MAX + 1) }],
  harmless: [{ ...production[0]!, text: "\n".repeat(LINES_MAX) }],
});

const median = (numbers: readonly number[]): number => numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? 0;

guard({
  name: `the median production file has at most ${LINES_MEDIAN_MAX} lines`,
  over: [production.filter(({ path }) => !isTestCode(path)).map(({ text }) => lines(text))],
  faults: (counts) => (median(counts) > LINES_MEDIAN_MAX ? [`the median file has ${median(counts)} lines`] : []),
  sabotage: [[10, 131, 400]],
  harmless: [[10, 130, 400]],
});
