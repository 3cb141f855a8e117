/** What only one machine knows has no place in the project. */
import { guard } from "./guard.ts";
import { allFiles, readText } from "./tree.ts";

interface Text {
  readonly path: string;
  readonly text: string;
}

// Put together from parts, so that this file does not hold what it looks for.
const TRACES: readonly (readonly [RegExp, string])[] = [
  [new RegExp(`(?<![\\w.~-])/${"wo" + "rk"}/(?!\\*)`), "a path of one machine"],
  [new RegExp(`/${"tm" + "p"}/(?:n2\\d|h|claude[\\w-]*)/`), "a path of one machine"],
  [/(?<![\w.])\/(?:home|Users)\/(?!agent\b)[a-z][\w-]*\//, "a path of one machine"],
  [
    new RegExp(`\\b(?:registry|npm|mirror|artifactory|nexus)\\.[\\w-]+\\.(?:org|com|io|net|dev|internal)\\b`, "i"),
    "a registry's host",
  ],
  [new RegExp(`\\b[\\w-]+\\.${"npm" + "js"}\\.\\w+|\\b${"npm" + "mirror"}\\b`, "i"), "a registry's host"],
];

const textFiles = allFiles.filter((path) => !/\.(?:png|jpg|gif|woff2|ico|sqlite|img)$/.test(path));

guard<Text>({
  name: "no path of one machine and no registry's host",
  over: textFiles.map((path) => ({ path, text: readText(path) })),
  faults: ({ path, text }) =>
    text
      .split("\n")
      .flatMap((line, index) =>
        TRACES.filter(([form]) => form.test(line)).map(([, what]) => `${path}:${index + 1}: holds ${what}: remove it`),
      ),
  sabotage: [
    { path: "a", text: `cd /${"work"}/main` },
    { path: "a", text: `see /${"tmp"}/n26/node_modules` },
    { path: "a", text: `/${"home"}/alice/cordon` },
    { path: "a", text: `"https://${"registry"}.example.org/zod"` },
    { path: "a", text: `https://www.${"npm" + "js"}.com/package/zod` },
  ],
  harmless: [
    { path: "a", text: `the network/${"work"}/home of npm` },
    { path: "a", text: "mkdtemp(`/tmp/cordon-`)" },
    { path: "a", text: "https://registry.invalid/" },
  ],
});
