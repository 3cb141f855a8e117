/**
 * The agent's own /data: an ext4 image with a fixed size, so that its quota is the kernel's business.
 * The mesh makes, mounts and unmounts it and never opens a path inside: what stands there is hostile.
 */
import { open, readFile, rename, rm, rmdir, stat, truncate, writeFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { limits } from "../../protocol/limits.ts";
import type { Clock } from "../../lib/clock.ts";
import { SandboxError } from "./backend.ts";
import { SANDBOX_UID } from "./bundle.ts";
import type { IdRange } from "./id-range.ts";
import { loopDevices, readMounts } from "./mounts.ts";
import type { Places } from "./places.ts";
import { runProgram } from "./process.ts";
import { quickly } from "./reaper.ts";
import { type Companion, mendImage, serveImage, type Serving, sourceOf } from "./rootless/data-server.ts";

const INODE_BYTES = 16 * 1024;
const INODES_MIN = 128;
const INODES_MAX = 262_144;

interface Record {
  readonly slot: number;
  readonly bytes: number;
}

/** From where the slots were counted when it was written: root's sandboxes and an ordinary user's have other ids. */
interface Origin {
  readonly hostIdFirst: number;
}
const NO_SLOT = -1;

export const imageOf = (places: Places, volume: string): string => join(places.volumesDir, `${volume}.img`);
const recordOf = (places: Places, volume: string): string => join(places.volumesDir, `${volume}.json`);

/** What is remembered of a volume; null when it does not exist or its record is lost. */
export async function readRecord(places: Places, volume: string): Promise<Record | null> {
  try {
    const value = JSON.parse(await readFile(recordOf(places, volume), "utf8")) as Partial<Record & Origin>;
    if (!Number.isSafeInteger(value.slot) || !Number.isSafeInteger(value.bytes)) return null;
    const { slot = NO_SLOT, bytes = 0, hostIdFirst = limits.sandbox.hostIdFirst } = value;
    return { slot: hostIdFirst === places.hostIdFirst ? slot : NO_SLOT, bytes };
  } catch {
    return null;
  }
}

async function writeRecord(places: Places, volume: string, record: Record): Promise<void> {
  const file = recordOf(places, volume);
  const text = JSON.stringify({ ...record, hostIdFirst: places.hostIdFirst });
  await writeFile(`${file}.new`, text, { mode: 0o600, flush: true });
  await rename(`${file}.new`, file);
}

/**
 * Makes the image if there is none, mounts it at `point` (an empty folder) and gives it to `range`. With `serving`, a process of
 * ours serves it, which is returned: without it /data is gone.
 */
export async function mountVolume(
  places: Places,
  volume: string,
  bytes: number,
  range: IdRange,
  point: string,
  clock: Clock,
  serving: Omit<Serving, "clock"> | null = null,
): Promise<Companion | null> {
  const image = imageOf(places, volume);
  await mkdir(places.volumesDir, { recursive: true, mode: 0o700 });
  const [record, have, mounted] = await Promise.all([
    readRecord(places, volume),
    stat(image).catch(() => null),
    mountedFrom(image),
  ]);
  if (mounted.length > 0) {
    throw new SandboxError(`volume \`${volume}\` is mounted already`, `stop what uses \`${mounted.join("`, `")}\``);
  }
  const owner = range.hostId + SANDBOX_UID;
  if (have === null) {
    await makeImage(image, bytes, owner, clock);
    await writeRecord(places, volume, { slot: range.slot, bytes });
  } else {
    await fitImage(volume, image, have.size, bytes, clock);
  }
  if (serving && have !== null) await mendImage(volume, image, clock);
  const server = serving && (await serveImage(image, point, { ...serving, clock }));
  if (!server && !(await quickly.loop(image, point, { clock, timeoutMs: limits.sandbox.startTimeoutMs })))
    await need("mount", ["-t", "ext4", "-o", "loop,nosuid,nodev,noatime,errors=remount-ro", image, point], clock);
  if (have === null) await rmdir(join(point, "lost+found"));
  else if (record?.slot !== range.slot) await giveTo(owner, point, clock);
  if (have !== null && (record?.slot !== range.slot || record.bytes !== bytes)) {
    await writeRecord(places, volume, { slot: range.slot, bytes });
  }
  return server;
}

/** Devices and folders. */
async function mountedFrom(image: string): Promise<readonly string[]> {
  const served = (await readMounts()).filter((mount) => mount.source === sourceOf(image)).map((mount) => mount.point);
  return [...(await loopDevices((file) => file === image)), ...served];
}

async function makeImage(image: string, bytes: number, owner: number, clock: Clock): Promise<void> {
  const draft = `${image}.new`;
  await rm(draft, { force: true });
  const handle = await open(draft, "wx", 0o600);
  await handle.truncate(bytes);
  await handle.close();
  const inodes = Math.min(INODES_MAX, Math.max(INODES_MIN, Math.floor(bytes / INODE_BYTES)));
  const extended = `root_owner=${owner}:${owner},lazy_itable_init=1,nodiscard`;
  await need("mkfs.ext4", ["-q", "-F", "-m", "0", "-N", String(inodes), "-E", extended, draft], clock);
  await rename(draft, image);
}

/** Grows a volume whose limit was raised. A lowered limit cannot be kept, so the start is refused. */
async function fitImage(volume: string, image: string, have: number, bytes: number, clock: Clock): Promise<void> {
  if (have === bytes) return;
  if (have > bytes) {
    throw new SandboxError(
      `volume \`${volume}\` has ${have} bytes, more than its limit of ${bytes}`,
      `raise \`disk\` to ${have} bytes, or erase the volume`,
    );
  }
  await truncate(image, bytes);
  await need("resize2fs", ["-f", image], clock);
}

/** Hard against what an agent leaves behind: no link is followed, depth and names do not matter to chown(1). */
async function giveTo(owner: number, point: string, clock: Clock): Promise<void> {
  await need("chown", ["-R", "-P", "-h", `${owner}:${owner}`, "--", point], clock);
}

export async function eraseVolume(places: Places, volume: string): Promise<void> {
  const image = imageOf(places, volume);
  if ((await mountedFrom(image)).length > 0) {
    throw new SandboxError(`volume \`${volume}\` is in use`, "stop its sandbox first");
  }
  for (const file of [image, `${image}.new`, recordOf(places, volume), `${recordOf(places, volume)}.new`]) {
    await rm(file, { force: true });
  }
}

async function need(program: string, args: readonly string[], clock: Clock): Promise<void> {
  const done = await runProgram(program, args, { clock, timeoutMs: limits.sandbox.startTimeoutMs }).catch(
    (error: Error) => ({
      code: 127,
      stderr: error.message,
    }),
  );
  if (done.code === 0) return;
  const why = done.stderr.trim().split("\n").at(-1) ?? "";
  throw new SandboxError(
    `\`${program}\` failed for /data: ${why}`,
    "check free disk space, loop devices and that e2fsprogs is installed",
  );
}
