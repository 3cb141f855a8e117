/** Every promise in prose names what holds it, and that exists. */
import { guard } from "./guard.ts";
import { allFiles, readText } from "./tree.ts";

interface Row {
  readonly where: string;
  readonly text: string;
}

const known = new Set(allFiles);
const scripts = (JSON.parse(readText("package.json")) as { readonly scripts: Readonly<Record<string, string>> })
  .scripts;

/** Rows of the tables below the heading that matches, without head and rule lines. */
function tableRows(file: string, heading: RegExp): readonly Row[] {
  if (!known.has(file)) return [];
  let inside = false;
  let afterRule = false;
  return readText(file)
    .split("\n")
    .flatMap((line, index) => {
      if (/^#{1,6} /.test(line)) inside = heading.test(line);
      const isRow = inside && line.startsWith("|");
      const isRule = isRow && /^\|[\s:|-]+\|$/.test(line);
      afterRule = isRow && (afterRule || isRule);
      return isRow && afterRule && !isRule ? [{ where: `${file}:${index + 1}`, text: line }] : [];
    });
}

/** Paths in backticks that look like files of the project. */
const pathsIn = (text: string): string[] =>
  [...text.matchAll(/`([\w.-]+(?:\/[\w.-]+)+)`/g)].map((match) => match[1] ?? "");

const missing = ({ where, text }: Row): string[] =>
  pathsIn(text)
    .filter((path) => !known.has(path) && !allFiles.some((file) => file.startsWith(`${path}/`)))
    .map((path) => `${where}: \`${path}\` does not exist`);

guard<Row>({
  name: "every guarantee of SECURITY.md names its attack test",
  over: tableRows("SECURITY.md", /guarantee/i),
  faults: (row) => {
    const tests = pathsIn(row.text).filter((path) => /^test\/attack\/.*\.test\.ts$/.test(path));
    return tests.length === 0 ? [`${row.where}: names no file of test/attack`] : missing(row);
  },
  sabotage: [
    { where: "a", text: "| no secret enters a sandbox | |" },
    { where: "a", text: "| no secret enters a sandbox | `test/attack/gone.test.ts` |" },
    { where: "a", text: "| no secret enters a sandbox | `test/style/tree.ts` |" },
  ],
});

/** A command that a reader can run. */
function commandFaults({ where, text }: Row): readonly string[] {
  const run = [...text.matchAll(/`npm (?:run )?([\w:-]+)[^`]*`/g)].map((match) => match[1] ?? "");
  const unknown = run.filter((name) => !Object.hasOwn(scripts, name));
  const named = run.length + pathsIn(text).length + (/`\.\/cordon [a-z]/.test(text) ? 1 : 0);
  if (named === 0 && !/not yet measured/i.test(text)) {
    return [`${where}: names neither a command nor a test, nor says "not yet measured"`];
  }
  return unknown.map((name) => `${where}: package.json has no script \`${name}\``);
}

guard<Row>({
  name: "every number of SPECIFICATION.md names the command that shows it",
  over: tableRows("SPECIFICATION.md", /./),
  faults: (row) => [...commandFaults(row), ...missing(row)],
  sabotage: [
    { where: "a", text: "| sandbox start | 35 ms | |" },
    { where: "a", text: "| sandbox start | 35 ms | `npm run gone` |" },
    { where: "a", text: "| sandbox start | 35 ms | `test/performance/gone.ts` |" },
  ],
  harmless: [
    { where: "a", text: "| sandbox start | 35 ms | `npm run bench` |" },
    { where: "a", text: "| sandbox start | not yet measured | |" },
    { where: "a", text: "| ten agents | `./cordon demo` |" },
  ],
});

const REQUIRED = [
  "README.md",
  "ARCHITECTURE.md",
  "SECURITY.md",
  "SPECIFICATION.md",
  "CONTRIBUTING.md",
  "CHANGELOG.md",
  "LICENSE",
  "docs/dependencies.md",
];

guard<string>({
  name: "the documents at the root stand",
  over: REQUIRED,
  faults: (path) => (known.has(path) && readText(path).trim() !== "" ? [] : [`\`${path}\` is missing or empty`]),
  sabotage: ["GONE.md"],
});

/** Links between our own files. */
const documents = allFiles.filter((path) => path.endsWith(".md") && !path.startsWith("examples/"));
const linksOf = (file: string, text: string): Row[] =>
  [...text.matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)[^)]*\)/g)].map((match) => ({
    where: file,
    text: match[1] ?? "",
  }));

guard<Row>({
  name: "links between documents lead somewhere",
  over: documents.flatMap((file) => linksOf(file, readText(file))),
  faults: ({ where, text }) => {
    const target = new URL(text, `file:///${where}`).pathname.slice(1).replace(/\/$/, "");
    const stands = known.has(target) || allFiles.some((file) => file.startsWith(`${target}/`));
    return stands ? [] : [`${where}: link to \`${text}\` leads nowhere`];
  },
  sabotage: linksOf("docs/a.md", "see [this](../GONE.md)"),
  harmless: linksOf("docs/a.md", "see [this](../package.json) and [that](decisions/)"),
});
