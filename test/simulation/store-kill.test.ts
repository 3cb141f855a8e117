import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import test from "node:test";
import { openStore } from "../../mesh/store/open.ts";
import { stateFolder } from "./world.ts";

const OWNER = fileURLToPath(new URL("./owner-process.ts", import.meta.url));

/** Starts the writer, kills it with SIGKILL after so many acknowledgements, and gives every number it printed. */
async function killAfter(path: string, first: number, lines: number): Promise<number[]> {
  const child = spawn(process.execPath, [OWNER, path, String(first)], { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  child.stdout.on("data", (chunk: Buffer) => {
    text += chunk.toString();
    if (text.split("\n").length > lines) child.kill("SIGKILL");
  });
  const signal = await new Promise((resolve) => child.once("close", (_, name) => resolve(name)));
  assert.equal(signal, "SIGKILL", "the process was killed while it wrote");
  // The last line may be cut in the middle.
  return text.split("\n").slice(1, -1).map(Number);
}

test("a process killed with SIGKILL in the middle of its commits, five times, loses no acknowledged row", async (t) => {
  const path = stateFolder(t);
  const acknowledged: number[] = [];
  for (const lines of [10, 333, 1_000, 2_020, 77]) {
    acknowledged.push(...(await killAfter(path, 1 + Math.max(0, ...acknowledged) + 1_000, lines)));
    const store = await openStore({ path });
    for (const n of acknowledged) {
      assert.equal(store.query.meta.get(`row ${n}`), String(n));
      assert.equal(store.query.meta.get(`twin ${n}`), String(n));
    }
    await store.close();
  }
  assert.ok(acknowledged.length > 3_000, "rows were acknowledged");
});
