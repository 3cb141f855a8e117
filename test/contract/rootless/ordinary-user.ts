/**
 * An ordinary user of this machine for the time of a test: with ids and control groups of his own, as an operator gives them. On
 * version 2 the operator brings each program that he starts into his group, as the shell of a user.
 */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import {
  accessSync,
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { randomId } from "../../../lib/id.ts";
import { readCgroups } from "../../../mesh/sandbox/cgroup.ts";
import { eventually } from "../../fleet/running-mesh.ts";
import { projectDir, skipUnlessRoot } from "../sandbox-fixture.ts";

const SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const enter = fileURLToPath(new URL("../../../mesh/sandbox/rootless/enter.pl", import.meta.url));
const script = fileURLToPath(new URL("../../../scripts/allow-rootless.sh", import.meta.url));

const PATIENCE_MS = 60_000;
/** Version 2 of control groups: nothing runs before a line has come. */
const WAITING = ["/bin/sh", "-c", 'read -r line; exec "$@"', "sh"];

export interface Running {
  /** Outside: the first of the processes that stand for the mesh. */
  readonly pid: number;
  said(): string;
  kill(signal: NodeJS.Signals): void;
  readonly finished: Promise<{ readonly code: number | null; readonly text: string }>;
}

export interface OrdinaryUser {
  readonly id: number;
  readonly name: string;
  /** His folder, and what commands are started with. */
  readonly home: string;
  readonly environment: NodeJS.ProcessEnv;
  /** Runs Node with these words inside his namespace. */
  enter(...words: readonly string[]): Running;
  run(program: string, words: readonly string[]): Running;
  readonly version: 1 | 2;
  /** His group of version 2, or of one hierarchy of version 1. */
  groupOf(controller: string): string;
  /** Groups of sandboxes below his own. */
  groups(): readonly string[];
  /** His processes, and those of his ids, wherever they are. */
  processes(): readonly number[];
  /** Resolves when he has none. */
  ended(): Promise<unknown>;
  give(): void;
  /** Takes that group away, as an operator. */
  take(controller: string): void;
  close(): Promise<void>;
}

/** The reason to skip, or false. */
export async function skipRootless(): Promise<string | false> {
  if (skipUnlessRoot !== false) return skipUnlessRoot;
  const programs = { newuidmap: "uidmap", fuse2fs: "fuse2fs", useradd: "passwd", runc: "runc" };
  for (const [name, from] of Object.entries(programs)) {
    const there = SYSTEM_PATH.split(":").some((folder) => readable(join(folder, name)));
    if (!there) return `\`${name}\` is not installed: run \`apt-get install -y ${from}\``;
  }
  const cgroups = await readCgroups();
  if (cgroups === null || cgroups.missing.length > 0) return "an ordinary user's sandboxes need control groups";
  const restricted = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns";
  if (readable(restricted) && Number(readFileSync(restricted, "latin1")) !== 0)
    return "ordinary users may not use user namespaces: `kernel.apparmor_restrict_unprivileged_userns`";
  if (!readable("/dev/fuse")) return "there is no `/dev/fuse`";
  for (const file of [process.execPath, enter]) {
    const look = ["-e", `require("node:fs").accessSync(${JSON.stringify(file)}, 4)`];
    try {
      execFileSync(process.execPath, look, { uid: 65_534, gid: 65_534, stdio: "ignore" });
    } catch {
      return `\`${file}\` cannot be read by other users`;
    }
  }
  return false;
}

function readable(path: string): boolean {
  try {
    accessSync(path);
    return true;
  } catch {
    return false;
  }
}

export async function openUser(): Promise<OrdinaryUser> {
  const name = `cordon-${randomId.next("u").slice(2, 10)}`;
  const home = mkdtempSync(join(tmpdir(), "cordon-home-"));
  await changed("useradd", "--no-create-home", "--home-dir", home, "--shell", "/bin/sh", name);
  const id = Number(execFileSync("id", ["-u", name], { encoding: "utf8" }));
  chmodSync(home, 0o755);
  chownSync(home, id, id);
  const temporary = join(home, "tmp");
  mkdirSync(temporary);
  chownSync(temporary, id, id);
  const [first = 0, count = 0] = idsOf(name);
  const long = process.env["CORDON_ROOTLESS"];
  const environment = {
    ...{ PATH: `${SYSTEM_PATH}:${join(process.execPath, "..")}`, HOME: home, TMPDIR: temporary },
    ...(long !== undefined && { CORDON_ROOTLESS: long }),
  };
  const two = (await readCgroups())?.version === 2;
  let given = true;
  const operator = (...words: readonly string[]): void => void execFileSync("sh", [script, ...words]);
  const give = (): void => {
    operator(name);
    given = true;
  };
  const take = (controller: string): void => {
    if (two) operator("--undo", name);
    else rmdirSync(groupOf(controller));
    given = false;
  };
  give();

  const run = (program: string, words: readonly string[]): Running => {
    const [started = program, ...rest] = [...(two ? WAITING : []), program, ...words];
    const child = spawn(started, rest, {
      ...{ cwd: home, env: environment, uid: id, gid: id, stdio: [two ? "pipe" : "ignore", "pipe", "pipe"] },
    });
    if (two && given) operator(name, String(child.pid));
    child.stdin?.end("\n");
    let text = "";
    for (const stream of [child.stdout, child.stderr])
      stream?.on("data", (piece: Buffer) => (text += piece.toString()));
    const finished = new Promise<{ code: number | null; text: string }>((resolve) =>
      child.once("close", (code) => resolve({ code, text })),
    );
    return { pid: child.pid ?? 0, said: () => text, kill: (signal) => void child.kill(signal), finished };
  };
  const processes = (): readonly number[] =>
    readdirSync("/proc")
      .filter((entry) => /^\d+$/.test(entry))
      .filter((entry) => {
        const uid = ownerOf(entry);
        return uid !== null && (uid === id || (uid >= first && uid < first + count));
      })
      .map(Number);
  const foldersIn = (folder: string): readonly string[] =>
    existsSync(folder)
      ? readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
          entry.isDirectory() ? [join(folder, entry.name), ...foldersIn(join(folder, entry.name))] : [],
        )
      : [];
  const groupOf = (controller: string): string => `/sys/fs/cgroup${two ? "" : `/${controller}`}/cordon-user-${id}`;
  const groups = (): readonly string[] =>
    (two ? [""] : readdirSync("/sys/fs/cgroup"))
      .flatMap((controller) => foldersIn(groupOf(controller)))
      // Where what he starts is put.
      .filter((folder) => folder !== join(groupOf(""), "mesh"));
  const ended = (): Promise<unknown> =>
    eventually("an end of all his processes", async () => processes().length === 0 || undefined, PATIENCE_MS);
  const close = async (): Promise<void> => {
    await eventually("an end of the user's processes", async () => {
      // What a test that has failed leaves: nobody else is of these ids.
      for (const pid of processes()) endProcess(pid);
      return processes().length === 0 || undefined;
    });
    for (const group of groups().toReversed()) rmdirSync(group);
    operator("--undo", name);
    await changed("userdel", name);
    rmSync(home, { recursive: true, force: true });
  };
  const inside = (...words: readonly string[]): Running =>
    run("/usr/bin/perl", [enter, process.arch, process.execPath, "--disable-warning=ExperimentalWarning", ...words]);
  const version = two ? 2 : 1;
  return {
    id,
    name,
    home,
    environment,
    version,
    enter: inside,
    run,
    groupOf,
    groups,
    processes,
    ended,
    give,
    take,
    close,
  };
}

/** Another program may have the files of users locked at this moment. */
const changed = (program: string, ...words: readonly string[]): Promise<unknown> =>
  eventually(`${program} ${words.at(-1)}`, async () => {
    const { status } = spawnSync(program, words, { stdio: "ignore" });
    return status === 0 || undefined;
  });

function endProcess(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/** The real user of a living process; null for one that has ended. */
function ownerOf(pid: string): number | null {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "latin1");
    return /^State:\s*[ZX]/m.test(status) ? null : Number(/^Uid:\s*(\d+)/m.exec(status)?.[1] ?? -1);
  } catch {
    return null;
  }
}

function idsOf(name: string): readonly number[] {
  const line = readFileSync("/etc/subuid", "utf8")
    .split("\n")
    .find((each) => each.startsWith(`${name}:`));
  if (line === undefined) throw new Error(`useradd gave \`${name}\` no ids in /etc/subuid`);
  return line.split(":").slice(1).map(Number);
}

export const cordon = join(projectDir, "user/cli/main.ts");
