/** What the kernel says is mounted and looped. Read each time: our own memory of it dies with a crash. */
import { readFileSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { basename, sep } from "node:path";
import { shared } from "./lanes.ts";

export interface Mount {
  readonly root: string;
  readonly point: string;
  readonly type: string;
  readonly source: string;
  readonly superOptions: readonly string[];
}

const mountTable = shared(() => readFile("/proc/self/mountinfo", "utf8"));

/** proc_pid_mountinfo(5), in mount order. Backslash-octal escapes are decoded. */
export async function readMounts(): Promise<readonly Mount[]> {
  return parsed((await mountTable()).split("\n"));
}

function parsed(lines: readonly string[]): readonly Mount[] {
  return lines.flatMap((line) => {
    const [left, right] = line.split(" - ");
    const [, , , root, point] = left?.split(" ") ?? [];
    const [type, source = "", superOptions] = right?.split(" ") ?? [];
    if (!root || !point || !type) return [];
    return [
      {
        root: decode(root),
        point: decode(point),
        type,
        source: decode(source),
        superOptions: (superOptions ?? "").split(","),
      },
    ];
  });
}

const decode = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));

/** Mount points at or under `folder`, last mounted first: the order in which to unmount. */
export async function mountsUnder(folder: string): Promise<readonly string[]> {
  const name = basename(folder);
  const lines = (await mountTable()).split("\n");
  // A thousand sandboxes have two thousand: only those are taken apart that can be meant. Names with escapes are not looked for.
  const meant = /^[\w-]+$/.test(name) ? lines.filter((line) => line.includes(name)) : lines;
  const points = parsed(meant).map((mount) => mount.point);
  return points.filter((point) => point === folder || point.startsWith(folder + sep)).toReversed();
}

/** Loop devices (`/dev/loopN`) whose backing file `matches`. */
export async function loopDevices(matches: (backingFile: string) => boolean): Promise<readonly string[]> {
  return (await loopTable()).filter(({ backing }) => matches(backing)).map(({ name }) => `/dev/${name}`);
}

/** So many are read before everything else has its turn. */
const LOOPS_A_TURN = 64;

/** Read one after another: handed to other threads, each of a thousand costs ten times as much. */
const loopTable = shared(async (): Promise<readonly { readonly name: string; readonly backing: string }[]> => {
  const found: { name: string; backing: string }[] = [];
  for (const [n, name] of (await attachedLoops()).entries()) {
    if (n % LOOPS_A_TURN === LOOPS_A_TURN - 1) await new Promise((resolve) => setImmediate(resolve));
    const backing = backingOf(name);
    if (backing !== "") found.push({ name, backing });
  }
  return found;
});

function backingOf(name: string): string {
  try {
    return readFileSync(`/sys/block/${name}/loop/backing_file`, "utf8")
      .trimEnd()
      .replace(/ \(deleted\)$/, "");
  } catch {
    // Nothing is attached to it any more.
    return "";
  }
}

/**
 * Names of those that hold something. The list of /sys/block has each that ever was: to ask them all takes milliseconds of every
 * start, and /proc/partitions leaves out what has no size (an image of ours has one).
 */
async function attachedLoops(): Promise<readonly string[]> {
  const list = await readFile("/proc/partitions", "latin1").catch(() => null);
  if (list !== null) return [...list.matchAll(/ (loop\d+)$/gm)].map(([, name = ""]) => name);
  return (await readdir("/sys/block").catch(() => [])).filter((name) => /^loop\d+$/.test(name));
}
