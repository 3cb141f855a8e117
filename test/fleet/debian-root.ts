/**
 * A root file system with programs of Debian as they are: the files of packages that this machine has, and those of
 * missing ones from its apt archive. No package's own script runs.
 */
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";

interface Package {
  readonly name: string;
  /** As dpkg wants to be asked for it; null = it is not installed. */
  readonly installedAs: string | null;
  /** Each with its alternatives. */
  readonly depends: readonly (readonly string[])[];
}

const STATUS = "/var/lib/dpkg/status";
/** What the programs of a test do without: interpreters of scripts that no test runs, and what configures packages. */
const NOT_NEEDED = new Set([
  "perl",
  "perl-base",
  "liberror-perl",
  "git-man",
  "debconf",
  "dpkg",
  "postgresql-client-common",
]);
const NOT_COPIED =
  /^\/(?:usr\/share\/(?:doc|man|info|locale|lintian|i18n|perl5|zsh|bash-completion)|var|etc\/alternatives)\//;
/** On a merged system these are links into /usr. */
const MERGED = ["bin", "lib", "lib64", "sbin"];

/** Undefined where this machine's own packages are not Debian's. */
export function hasDebian(): boolean {
  return (
    existsSync(STATUS) && MERGED.every((name) => lstatSync(`/${name}`, { throwIfNoEntry: false })?.isSymbolicLink())
  );
}

/** Fills `root` (a new folder) with `names` and all that they depend on. Throws where one is neither here nor to be had. */
export function makeDebianRoot(root: string, names: readonly string[]): void {
  const { installed, providers } = readStatus();
  const all = closure(names, installed, providers);
  for (const { installedAs } of all) if (installedAs !== null) copyAll(root, "", filesOf(installedAs));
  const missing = all.filter(({ installedAs }) => installedAs === null).map(({ name }) => name);
  if (missing.length > 0) addFetched(root, missing);
  // Last, so that nothing is written through them.
  for (const name of MERGED) {
    mkdirSync(join(root, "usr", name), { recursive: true });
    symlinkSync(`usr/${name}`, join(root, name));
  }
}

function readStatus(): { readonly installed: Map<string, Package>; readonly providers: Map<string, string> } {
  const installed = new Map<string, Package>();
  const providers = new Map<string, string>();
  for (const record of readFileSync(STATUS, "utf8").split("\n\n")) {
    const field = fieldsOf(record);
    const name = field("Package");
    if (name === undefined || !/ installed$/.test(field("Status") ?? "")) continue;
    const installedAs = field("Multi-Arch") === "same" ? `${name}:${field("Architecture")}` : name;
    installed.set(name, { name, installedAs, depends: dependsOf(field) });
    for (const [provided = ""] of alternativesOf(field("Provides"))) providers.set(provided, name);
  }
  return { installed, providers };
}

type Field = (name: string) => string | undefined;
const fieldsOf =
  (record: string): Field =>
  (name) =>
    new RegExp(`^${name}: (.*)$`, "m").exec(record)?.[1];
const alternativesOf = (list = ""): readonly (readonly string[])[] =>
  list.split(",").map((each) => each.split("|").map((one) => /^[a-z0-9.+-]+/.exec(one.trim())?.[0] ?? ""));
const dependsOf = (field: Field): Package["depends"] =>
  ["Pre-Depends", "Depends"].flatMap((name) => alternativesOf(field(name)));

function closure(
  names: readonly string[],
  installed: ReadonlyMap<string, Package>,
  providers: ReadonlyMap<string, string>,
): readonly Package[] {
  const found = new Map<string, Package>();
  const visit = (alternatives: readonly string[]): void => {
    const [first = ""] = alternatives;
    if (first === "" || alternatives.some((each) => NOT_NEEDED.has(each))) return;
    const here = alternatives.map((each) => providers.get(each) ?? each).find((each) => installed.has(each));
    const needed = installed.get(here ?? "") ?? packageToFetch(first);
    if (found.has(needed.name)) return;
    found.set(needed.name, needed);
    needed.depends.forEach(visit);
  };
  for (const name of names) visit([name]);
  return [...found.values()];
}

function packageToFetch(name: string): Package {
  const record = execFileSync("apt-cache", ["show", "--no-all-versions", name], { stdio: "pipe" }).toString();
  return { name, installedAs: null, depends: dependsOf(fieldsOf(record)) };
}

function addFetched(root: string, names: readonly string[]): void {
  const drafts = mkdtempSync(join(dirname(root), "packages-"));
  try {
    execFileSync("apt-get", ["download", ...names], { cwd: drafts, stdio: "pipe" });
    for (const file of readdirSync(drafts)) {
      const folder = join(drafts, `${file}.files`);
      execFileSync("dpkg-deb", ["-x", join(drafts, file), folder], { stdio: "pipe" });
      copyAll(root, folder, undefined);
    }
  } finally {
    rmSync(drafts, { recursive: true, force: true });
  }
}

const filesOf = (installedAs: string): readonly string[] =>
  execFileSync("dpkg-query", ["-L", installedAs], { stdio: "pipe", maxBuffer: 16_777_216 }).toString().split("\n");

/** `files` below `from`, or all that is there. */
function copyAll(root: string, from: string, files: readonly string[] | undefined): void {
  for (const file of files ?? readdirSync(from, { recursive: true }).map((each) => `/${String(each)}`)) {
    const source = from + file;
    const info = lstatSync(source, { throwIfNoEntry: false });
    if (!info || info.isDirectory() || NOT_COPIED.test(file) || MERGED.includes(file.slice(1))) continue;
    const target = join(root, placeOf(from, file));
    mkdirSync(dirname(target), { recursive: true });
    if (existsSync(target)) continue;
    if (info.isSymbolicLink()) symlinkSync(readlinkSync(source), target);
    else if (info.isFile()) {
      copyFileSync(source, target);
      chmodSync(target, info.mode & 0o755);
    }
  }
}

const realFolders = new Map<string, string>();
function realFolder(folder: string): string {
  const known = realFolders.get(folder) ?? realpathSync(folder);
  realFolders.set(folder, known);
  return known;
}

/** Where a file of a package stands when no part of its path is a link. */
function placeOf(from: string, file: string): string {
  const folder = from === "" ? realFolder(dirname(file)) : dirname(file);
  const real = join(folder, basename(file));
  return MERGED.some((name) => real.startsWith(`/${name}/`)) ? `/usr${real}` : real;
}
