/**
 * `packages:` Debian packages from the machine's own archive, unpacked and configured by mmdebstrap. Signatures are
 * checked by apt with the machine's keys; the packages' own scripts run as root, as they do on any Debian machine.
 */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../lib/clock.ts";
import { limits } from "../../protocol/limits.ts";
import { SandboxError } from "./backend.ts";
import { runProgram } from "./process.ts";

const SOURCES = "/etc/apt/sources.list";
const SOURCES_FOLDER = "/etc/apt/sources.list.d";

export interface Archive {
  /** For example `bookworm`. */
  readonly suite: string;
  /** Files that say where packages come from. */
  readonly sources: readonly string[];
  readonly text: string;
}

/** Throws SandboxError on a machine whose own packages are not Debian's. */
export async function readArchive(): Promise<Archive> {
  const release = await readFile("/etc/os-release", "utf8").catch(() => "");
  const suite = /^VERSION_CODENAME="?([a-z]+)"?$/m.exec(release)?.[1];
  const more = (await readdir(SOURCES_FOLDER).catch(() => [])).filter((name) =>
    /^[\w.-]+\.(?:list|sources)$/.test(name),
  );
  const files = [SOURCES, ...more.toSorted().map((name) => join(SOURCES_FOLDER, name))];
  const texts = await Promise.all(
    files.map(async (file) => [file, await readFile(file, "utf8").catch(() => "")] as const),
  );
  const used = texts.filter(([, text]) => /^(?:deb |Types:)/m.test(text));
  if (suite === undefined || used.length === 0)
    throw new SandboxError(
      "`packages` needs a Debian or Ubuntu machine with an apt archive",
      "use `image` or `rootfs`, or remove `packages`",
    );
  return { suite, sources: used.map(([file]) => file), text: used.map(([, text]) => text).join("\n") };
}

/** Fills `folder` (empty) with the essential system and `packages`. Minutes on a slow line. */
export async function installPackages(
  packages: readonly string[],
  { suite, sources }: Archive,
  folder: string,
  clock: Clock,
): Promise<void> {
  const args = [
    ...["--mode=root", "--variant=essential", `--include=${packages.join(",")}`],
    // Neither manuals nor translations.
    ...["doc", "man", "info", "locale"].map((name) => `--dpkgopt=path-exclude=/usr/share/${name}/*`),
    ...[suite, folder, ...sources],
  ];
  const done = await runProgram("mmdebstrap", args, { clock, timeoutMs: limits.rootfs.packagesTimeoutMs }).catch(() => {
    throw new SandboxError("`packages` needs mmdebstrap", "run `apt-get install mmdebstrap`");
  });
  if (done.code === 0) return;
  const unknown = /E: Unable to locate package (\S+)/.exec(done.stderr)?.[1];
  if (unknown !== undefined)
    throw new SandboxError(`no package \`${unknown}\` in \`${suite}\``, "correct the name in `packages`");
  const why =
    done.stderr
      .trim()
      .split("\n")
      .findLast((line) => line.startsWith("E: ")) ?? `exit code ${done.code}`;
  throw new SandboxError(
    `the packages could not be installed: ${why.slice(0, 300)}`,
    "run `apt-get update` and look at its errors",
  );
}

/** Name and version of everything that was installed, from dpkg's own record. */
export async function installedIn(folder: string): Promise<readonly string[]> {
  const status = await readFile(join(folder, "var/lib/dpkg/status"), "utf8");
  return status
    .split("\n\n")
    .flatMap((record) => {
      const field = (name: string): string | undefined =>
        record
          .split("\n")
          .find((line) => line.startsWith(`${name}: `))
          ?.slice(name.length + 2);
      const [name, version] = [field("Package"), field("Version")];
      return name && version ? [`${name}=${version}`] : [];
    })
    .toSorted();
}
