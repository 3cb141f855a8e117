import assert from "node:assert/strict";
import { test } from "node:test";
import { Closing } from "./closing.ts";

test("the newest is closed first, one that fails keeps no other open, and what comes late is closed at once", async () => {
  const said: string[] = [];
  const closing = new Closing((fault) => said.push(fault));
  closing.push(async () => said.push("store"));
  closing.push(() => {
    throw new Error("stuck");
  });
  closing.push(async () => said.push("desk"));
  await closing.end();
  assert.deepEqual(said, ["desk", "while ending: Error: stuck\n", "store"]);
  closing.push(async () => said.push("opened while it ended"));
  assert.equal(said.at(-1), "opened while it ended");
});
