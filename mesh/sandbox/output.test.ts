import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, constants, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it } from "node:test";
import { systemClock } from "../../lib/clock.ts";
import { SandboxOutput } from "./output.ts";

function pipe(): { reader: number; writer: number; remove(): void } {
  const folder = mkdtempSync(join(tmpdir(), "cordon-pipe-"));
  const path = join(folder, "p");
  spawnSync("mkfifo", [path]);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const writer = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  return { reader, writer, remove: () => rmSync(folder, { recursive: true }) };
}

it("passes what is printed in order, to the end", async () => {
  const { reader, writer, remove } = pipe();
  const output = SandboxOutput.ofPipe(reader, systemClock, () => assert.fail("no flood"));
  writeSync(writer, "one\n");
  writeSync(writer, "two\n");
  closeSync(writer);
  let text = "";
  for await (const chunk of output) text += String(chunk);
  assert.equal(text, "one\ntwo\n");
  remove();
});

it("leaves the pipe alone while the bucket is empty, so that the writer is the one to wait", async () => {
  const { reader, writer, remove } = pipe();
  const floods: number[] = [];
  const output = SandboxOutput.ofPipe(reader, systemClock, (rate) => floods.push(rate));
  let bytes = 0;
  output.on("data", (chunk: Buffer) => (bytes += chunk.length));
  const end = performance.now() + 1200;
  while (performance.now() < end) {
    try {
      writeSync(writer, Buffer.alloc(65536));
    } catch {
      // The pipe is full: the writer would wait here.
    }
    await systemClock.sleep(5);
  }
  // A second's burst, a second's worth, and one read beyond.
  assert.ok(bytes <= 65536 * 3.5, `${bytes} bytes came through`);
  assert.equal(floods.length, 1);
  closeSync(writer);
  output.destroy();
  remove();
});
