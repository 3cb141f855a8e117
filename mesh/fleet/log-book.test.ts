/** What a sandbox prints is kept within bounds, and a disk that does not take it costs lines and nothing else. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { after, test } from "node:test";
import { systemClock as clock } from "../../lib/clock.ts";
import { LogBook } from "./log-book.ts";

const root = mkdtempSync(join(tmpdir(), "cordon-logs-"));
after(() => rmSync(root, { recursive: true }));

test("lines are kept in order, a last one without its end as well, and nothing of them moves a terminal", async () => {
  const book = new LogBook(join(root, "a.log"));
  await book.follow(Readable.from([Buffer.from("one\ntw"), Buffer.from("o\n\u001b[2Jthree")]));
  const [one, two, three = ""] = await book.tail(10);
  assert.deepEqual([one, two], ["one", "two"]);
  assert.ok(!three.includes("\u001b") && three.includes("three"), three);
});

test("a log folder that is gone: output is still taken, nothing rejects, and what comes after its return is kept", async () => {
  const folder = join(root, "gone");
  const book = new LogBook(join(folder, "a.log"));
  await book.follow(Readable.from([Buffer.from("no end of line")]));
  const output = new PassThrough();
  const following = book.follow(output);
  output.write("lost\n");
  while (output.readableLength > 0) await clock.sleep(1);
  mkdirSync(folder);
  // One write at a time: each has been tried before the next is taken.
  for (let n = 0; (await book.tail(1)).length === 0; n++) {
    output.write(`kept ${n}\n`);
    await clock.sleep(1);
  }
  output.end();
  await following;
  assert.match((await book.tail(1))[0] ?? "", /^kept \d+$/);
});
