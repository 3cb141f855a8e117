/**
 * What git takes for `ssh`: tells the door how it was called, and carries the bytes. No protocol of SSH is spoken in the
 * sandbox, and nothing is decided here: whatever it says is judged at the door.
 */
import { existsSync, writeSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { gitFrames } from "../../protocol/git-frames.ts";
import { guestRuntime, sandboxPaths } from "../../protocol/sandbox-paths.ts";
import { ownEnvironment } from "./environment.ts";

const PREFACE = "GET /v1/repositories HTTP/1.1\r\nhost: door\r\nconnection: upgrade\r\nupgrade: git\r\n\r\n";
const AGREED = "HTTP/1.1 101 ";
const HEAD_BYTES_MAX = 4_096;
const FRAME_HEAD_BYTES = 5;
/** What ssh(1) ends with when it has no connection. */
const NO_CONNECTION = 255;

/** The words that start this file. In a root file system that is not ours, Node has a loader of its own. */
export function gitSshCommand(): string {
  const { loader, libraries, node } = guestRuntime;
  const start = existsSync(loader) ? [loader, "--library-path", libraries, node] : [sandboxPaths.node];
  return [...start, "--disable-warning=ExperimentalWarning", sandboxPaths.gitSsh].join(" ");
}

/** Resolves with the code to end with. */
export async function carry(doorSocket: string, words: readonly string[], protocol: string | null): Promise<number> {
  const door = connect({ path: doorSocket, allowHalfOpen: true });
  door.write(`${PREFACE}${JSON.stringify({ words, protocol })}\n`);
  try {
    return await answerOf(door);
  } catch {
    say("cordon: the door does not answer\n");
    return NO_CONNECTION;
  } finally {
    process.stdin.destroy();
    door.destroy();
  }
}

async function answerOf(door: Socket): Promise<number> {
  let held: Buffer = Buffer.alloc(0);
  let agreed = false;
  for await (const piece of door.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    held = held.length === 0 ? piece : Buffer.concat([held, piece]);
    if (!agreed) {
      const end = held.indexOf("\r\n\r\n");
      if (end < 0 && held.length < HEAD_BYTES_MAX) continue;
      if (end < 0 || !held.toString("latin1").startsWith(AGREED)) throw new Error("no agreement");
      agreed = true;
      held = held.subarray(end + 4);
      process.stdin.pipe(door);
    }
    for (;;) {
      const length = held.length < FRAME_HEAD_BYTES ? Infinity : FRAME_HEAD_BYTES + held.readUInt32BE(1);
      if (held.length < length) break;
      const content = held.subarray(FRAME_HEAD_BYTES, length);
      if (held[0] === gitFrames.exit) return content[0] ?? NO_CONNECTION;
      if (held[0] === gitFrames.out) await written(content);
      else say(content);
      held = held.subarray(length);
    }
  }
  throw new Error("no end");
}

/** Git may have gone: then nobody waits for more. */
function written(content: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(content, (fault) => (fault ? reject(fault) : resolve()));
  });
}

const STDERR = 2;
function say(content: Buffer | string): void {
  try {
    writeSync(STDERR, Buffer.from(content));
  } catch {
    // Nobody reads it.
  }
}

if (process.argv[1] === sandboxPaths.gitSsh) {
  process.stdin.on("error", () => {});
  process.stdout.on("error", () => {});
  process.exit(await carry(sandboxPaths.door, process.argv.slice(2), ownEnvironment()["GIT_PROTOCOL"] ?? null));
}
