/** Whoever gets hold of the disk, and not of the key, reads no value of the board: not in the database, not in its logs. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { attackerPrelude, eventually, printed, startMesh, type MeshFixture } from "../../fleet/running-mesh.ts";

const CANARY = "canary-9f4b2c71-on-the-board";
const writer = `
import { ask, tell } from "./prelude.mjs";
for (let n = 0; n < 20; n++) await ask("POST", "/v1/tools/board.write", { key: "notes/" + (n % 3), value: "${CANARY} " + n });
const read = await ask("POST", "/v1/tools/board.read", { key: "notes/1" });
tell("wrote", { read: read.text });
setInterval(() => {}, 1e6);
`;

let mesh: MeshFixture | undefined;
after(() => mesh?.stop());

const filesOf = (state: string): string[] =>
  readdirSync(state, { withFileTypes: true }).flatMap((entry) =>
    entry.isFile() && entry.name.startsWith("cordon.sqlite") ? [join(state, entry.name)] : [],
  );
/** In the bytes as they lie there, and in what base64 at any offset would make of them. */
function holds(file: string): boolean {
  const bytes = readFileSync(file);
  const forms = [0, 1, 2].map((skip) => {
    const text = Buffer.from(`${" ".repeat(skip)}${CANARY}`).toString("base64");
    return text.slice(4, -4);
  });
  return [CANARY, ...forms].some((form) => bytes.includes(form));
}

test("no value of the board is in the files of a mesh that runs, was killed, or has ended; who has the key reads all", async () => {
  const begun = (mesh = await startMesh({
    "cordon.yaml": `
version: 1
fleet: rest
defaults: { model: rehearsal/echo, budget: { day: { usd: 1.00 } } }
agents:
  scribe: { command: [/bin/node, /code/writer.mjs], code: code, may: { blackboard: { read: [notes/*], write: [notes/*] } } }
`,
    "code/prelude.mjs": attackerPrelude,
    "code/writer.mjs": writer,
  }));
  const [wrote] = await eventually("the writes", async () => {
    const lines = await printed(begun, "scribe", "wrote");
    return lines.length > 0 ? lines : undefined;
  });
  assert.ok(String(wrote?.["read"]).includes(`${CANARY} 19`), "who may read it does");
  const looked: string[] = [];
  const look = (): void => {
    for (const file of filesOf(begun.state)) {
      looked.push(file);
      assert.equal(holds(file), false, file);
    }
  };
  look();
  await begun.kill();
  look();
  const again = (mesh = await begun.again());
  const { rows } = await again.desk.board("notes/*");
  assert.ok(rows.length === 3 && rows.every(({ value }) => value.startsWith(CANARY)));
  await again.end();
  look();
  assert.ok(looked.some((file) => file.endsWith("-wal")) && looked.some((file) => file.endsWith(".sqlite")));
});
