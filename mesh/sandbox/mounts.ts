/** What the kernel says is mounted and looped. Read each time: our own memory of it dies with a crash. */
import { readdir, readFile } from "node:fs/promises";
import { sep } from "node:path";

export interface Mount {
  readonly root: string;
  readonly point: string;
  readonly type: string;
  readonly source: string;
  readonly superOptions: readonly string[];
}

/** proc_pid_mountinfo(5), in mount order. Backslash-octal escapes are decoded. */
export async function readMounts(): Promise<readonly Mount[]> {
  const text = await readFile("/proc/self/mountinfo", "utf8");
  return text.split("\n").flatMap((line) => {
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
  const points = (await readMounts()).map((mount) => mount.point);
  return points.filter((point) => point === folder || point.startsWith(folder + sep)).toReversed();
}

/** Loop devices (`/dev/loopN`) whose backing file `matches`. */
export async function loopDevices(matches: (backingFile: string) => boolean): Promise<readonly string[]> {
  const names = await attachedLoops();
  const found = await Promise.all(
    names.map(async (name) => {
      const backing = await readFile(`/sys/block/${name}/loop/backing_file`, "utf8").catch(() => "");
      return backing !== "" && matches(backing.trimEnd().replace(/ \(deleted\)$/, "")) ? `/dev/${name}` : undefined;
    }),
  );
  return found.filter((name) => name !== undefined);
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
