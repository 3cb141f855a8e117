/** `cordon assault`: hostile code in a real container, and everything that it tried with what stopped it. */
import { createServer, type AddressInfo } from "node:net";
import { chmod, mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import type { Clock } from "../../../lib/clock.ts";
import type { Id } from "../../../lib/id.ts";
import { assert } from "../../../lib/assert.ts";
import type { AssaultReport } from "../../../protocol/assault.ts";
import { limits } from "../../../protocol/limits.ts";
import type { Isolation } from "../backend.ts";
import { surroundingsOf } from "../probe-attempts.ts";
import { layBait } from "./bait.ts";
import { answeredInside } from "./catalogue.ts";
import { fillCodeFolder } from "./code-folder.ts";
import type { Container, Launcher } from "./container.ts";
import { floods } from "./floods.ts";
import { removeFolder } from "../rootfs-removal.ts";
import { readLine, reportOf, type Told } from "./verdict.ts";

export interface AssaultParts {
  readonly subject: string;
  readonly launch: Launcher;
  /** An existing folder of the host, below which everything that the suite plants stands and is removed again. */
  readonly temporaryFolder: string;
  readonly isolation: Isolation;
  /** Path of the door's socket inside, null where there is none. */
  readonly door: string | null;
  readonly clock: Clock;
  readonly id: Id;
  readonly onResult: (told: Told) => void;
  /** Ends the attempts early; everything is taken down all the same. */
  readonly signal: AbortSignal;
}

/** Never throws for what a container does: a suite that could not run is a report with a `fault`. */
export async function assault(parts: AssaultParts): Promise<AssaultReport> {
  const { clock, id, launch, signal } = parts;
  const nonce = id.next("assault").replaceAll(/[^a-z0-9]/gi, "");
  assert(nonce.length >= 12, "a nonce that is short could stand in a text by chance");
  const folder = await mkdtemp(join(parts.temporaryFolder, "cordon-assault-"));
  const running: Container[] = [];
  const until = (timeoutMs: number): Deadline => ({ clock, signal, timeoutMs });
  let bait: Awaited<ReturnType<typeof layBait>> | undefined;
  try {
    await chmod(folder, 0o755);
    bait = await layBait(nonce, join(folder, "bait"));
    const { siblingLifetimeMs: lifetimeMs } = limits.assault;
    const sibling = { abstract: `cordon-sibling-${nonce}`, port: await freePort(), lifetimeMs };
    const { ownDevices } = surroundingsOf[parts.isolation];
    const target = {
      nonce,
      door: parts.door,
      ...bait.target,
      sibling,
      siblingMarker: "sibling.js",
      floods,
      ownDevices,
    };
    const code = join(folder, "code");
    await fillCodeFolder(code, target);
    const other = await launch("sibling.js", code);
    running.push(other);
    const ready = await linesOf(other, nonce, until(limits.assault.startTimeoutMs), (line) =>
      line.includes("sibling-ready"),
    );
    if (!ready.found) return reportOf(parts.subject, [], bait.caught(), trouble(other));
    const container = await launch("main.js", code);
    running.push(container);
    const told: Told[] = [];
    const take = (read: Told): void => {
      if (told.length >= limits.assault.linesMax) return;
      told.push(read);
      parts.onResult(read);
    };
    await linesOf(container, nonce, until(limits.assault.timeoutMs), (line) => {
      const read = readLine(line, nonce);
      if (read !== null) take(read);
      return false;
    });
    for (const name of bombs) {
      const other = await launch(`bomb-${name}.js`, code);
      running.push(other);
      const outcome = await outcomeOf(other, `flood-${name}`, nonce, until(limits.assault.timeoutMs));
      if (outcome !== null) take(outcome);
    }
    return reportOf(parts.subject, told, bait.caught(), trouble(container), answeredInside[parts.isolation]);
  } finally {
    await Promise.allSettled(running.map((each) => each.stop()));
    bait?.close();
    await removeFolder(folder, clock);
  }
}

/** Each in a container of its own, which it may end: `hostile/bomb-NAME.js`, reported as `flood-NAME`. */
const bombs = ["processes", "memory"] as const;

/** What a bomb has told, or that it has begun and the container has ended over it; null when neither is known. */
async function outcomeOf(container: Container, id: string, nonce: string, until: Deadline): Promise<Told | null> {
  let [begun, outcome, gone]: [boolean, Told | null, boolean] = [false, null, false];
  const ended = container.ended.then(() => void (gone = true));
  await linesOf({ ...container, ended }, nonce, until, (line) => {
    const read = readLine(line, nonce);
    if (read?.id === `begun-${id}`) begun = true;
    if (read?.id === id) outcome = read;
    return outcome !== null;
  });
  if (outcome !== null) return outcome;
  return begun && gone ? { id, stopped: true, by: "the container ended over it" } : null;
}

const trouble = (container: Container): string => container.errors().split("\n").at(-1) ?? "";

interface Deadline {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
}

/** Reads lines until `seen` says that it has what it wanted, the container has ended, or the time is up. */
async function linesOf(
  { output, ended }: Container,
  nonce: string,
  { clock, signal, timeoutMs }: Deadline,
  seen: (line: string) => boolean,
): Promise<{ readonly found: boolean }> {
  const wanted = Promise.withResolvers<true>();
  readLines(output, (line) => {
    if (line.includes(nonce) && seen(line)) wanted.resolve(true);
  });
  const timer = new AbortController();
  const late = clock.sleep(timeoutMs, AbortSignal.any([timer.signal, signal])).then(
    () => false,
    () => false,
  );
  const found = await Promise.race([wanted.promise, ended.then(() => false), late]);
  timer.abort();
  return { found };
}

/** A line without an end takes no more memory than the longest one that is allowed. */
function readLines(stream: Readable, take: (line: string) => void): void {
  let rest = "";
  stream.on("data", (piece: Buffer) => {
    const lines = (rest + piece.toString("utf8")).split("\n");
    rest = (lines.pop() ?? "").slice(0, limits.assault.lineCharsMax);
    for (const line of lines) take(line.slice(0, limits.assault.lineCharsMax));
  });
  stream.on("error", () => undefined);
}

/** A port that nobody holds at this moment, so that the sibling's is known to both containers. */
function freePort(): Promise<number> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
