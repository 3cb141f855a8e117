/** A passphrase that a person enters goes to the mesh through a pipe that both of them have, and nowhere else. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { runMesh } from "../../user/cli/mesh-process.ts";

const folder = mkdtempSync(join(tmpdir(), "cordon-entered-"));
after(() => rmSync(folder, { recursive: true }));
const host = {
  meshProgram: fileURLToPath(new URL("../../mesh/main.ts", import.meta.url)),
  cwd: folder,
  environment: process.env,
};
const state = ["--state", join(folder, "state")];
const PASSPHRASE = "correct horse battery";
const entered = (option: string, text = PASSPHRASE) => ({ args: [option, "/dev/fd/3"], pipe: Buffer.from(text) });

test("the vault key is protected with, and opened by, what was entered; the pipe's bytes are erased", async () => {
  const added = await runMesh(host, ["credential", "add", "openai", ...state], Buffer.from("sk-canary-one\n"));
  assert.equal(added.code, 0, added.stderr);
  const given = entered("--new-passphrase-file");
  const done = await runMesh(host, ["vault", "protect", ...state], undefined, given);
  assert.deepEqual([done.code, done.stderr], [0, ""]);
  assert.ok(statSync(join(folder, "state", "vault.key")).size > 32);
  assert.ok(given.pipe.every((byte) => byte === 0));
  const listed = await runMesh(host, ["credential", "list", ...state], undefined, entered("--passphrase-file"));
  assert.match(listed.stdout, /openai/, listed.stderr);
  const other = await runMesh(
    host,
    ["credential", "list", ...state],
    undefined,
    entered("--passphrase-file", "x".repeat(12)),
  );
  assert.match(other.stderr, /the passphrase is another one/);
  const short = await runMesh(host, ["credential", "list", ...state], undefined, entered("--passphrase-file", "short"));
  assert.match(short.stderr, /12 to 1024 bytes/);
});
