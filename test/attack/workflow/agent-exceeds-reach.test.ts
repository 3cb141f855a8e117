/** An agent that may reach a whole place serves a step that may reach a part of it: hijacked, it tries the rest. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { attackerPrelude, eventually, printed, startMesh, type MeshFixture } from "../../fleet/running-mesh.ts";
import { startOutside, type Outside } from "../../fleet/web-place.ts";

const clerk = `
import http from "node:http";
import { ask, tell } from "./prelude.mjs";
import { place } from "./place.mjs";
const web = (method, path) => new Promise((resolve, reject) => {
  const about = { socketPath: "/run/cordon/door.sock", method, path: place + path, headers: { host: new URL(place).host } };
  http.request(about, (response) => {
    let text = "";
    response.setEncoding("utf8").on("data", (piece) => (text += piece));
    response.on("end", () => resolve(response.statusCode === 200 ? text : JSON.parse(text).error.reason));
  }).on("error", reject).end();
});
const attempt = async (when) => tell("attempt", { when, results: {
  named: await web("GET", "/open/x"),
  method: await web("POST", "/open/x"),
  path: await web("GET", "/closed"),
  below: await web("GET", "/open/x/y"),
} });
for (;;) {
  const { status, text } = await ask("GET", "/v1/inbox?wait_ms=20000");
  if (status !== 200) { await new Promise((resolve) => setTimeout(resolve, 200)); continue; }
  const { id, body } = JSON.parse(text);
  await attempt(body.split("\\n")[0]);
  await ask("POST", "/v1/inbox/" + id + "/reply", { body: "done" });
}
`;

const step = (name: string, may: string): string => `
workflow: 1
name: ${name}
steps:
  look: { agent: clerk, task: ${name}, timeout: 1h, may: { ${may} }, accepts: untrusted }
`;

let mesh: MeshFixture;
let outside: Outside;
let place: string;
const arrived: string[] = [];

before(async () => {
  outside = await startOutside((request, response) => {
    arrived.push(`${request.method} ${request.url}`);
    response.end("from outside");
  });
  place = `http://127.0.0.1:${outside.port}`;
  mesh = await startMesh({
    "cordon.yaml": `
version: 1
fleet: narrow
defaults: { model: rehearsal/echo, sandbox: { memory: 128MiB, cpus: 1 } }
agents:
  clerk: { command: [/bin/node, /code/clerk.mjs], code: code, may: { reach: ["${place}"] } }
`,
    "part.yaml": step("part", `reach: ["GET ${place}/open/*"]`),
    "none.yaml": step("none", "tools: []"),
    "more.yaml": step("more", `reach: ["http://127.0.0.1:1/"]`),
    "code/place.mjs": `export const place = ${JSON.stringify(place)};`,
    "code/prelude.mjs": attackerPrelude,
    "code/clerk.mjs": clerk,
  });
});
after(async () => {
  await mesh.stop();
  await outside.close();
});

const start = async (file: string): Promise<string> => (await mesh.desk.startRun(join(mesh.folder, file), {})).run;
async function attempted(when: string): Promise<Readonly<Record<string, string>>> {
  const found = await eventually(`the attempts ${when}`, async () =>
    (await printed(mesh, "clerk", "attempt")).find((each) => each["when"] === when),
  );
  return found["results"] as Readonly<Record<string, string>>;
}
const over = (run: string): Promise<unknown> =>
  eventually(`the end of ${run}`, async () => (await mesh.desk.run(run)).finishedAtMs ?? undefined);

test("in a step an agent reaches what the step names and nothing else, and afterwards what it may", async () => {
  const run = await start("part.yaml");
  const { named, ...others } = await attempted("part");
  assert.equal(named, "from outside");
  for (const [what, result] of Object.entries(others)) assert.match(result, /^in this step `clerk` may not /, what);
  assert.deepEqual(arrived.splice(0), ["GET /open/x"]);
  await over(run);
  const none = await start("none.yaml");
  for (const [what, result] of Object.entries(await attempted("none")))
    assert.match(result, /^in this step `clerk` /, what);
  assert.deepEqual(arrived.splice(0), []);
  await over(none);
  await mesh.desk.send("clerk", "free");
  const free = await attempted("free");
  assert.deepEqual(
    Object.values(free),
    Array.from({ length: 4 }, () => "from outside"),
  );
  const refused = (await mesh.desk.audit(0, 1_000)).records.filter(
    ({ kind, detail }) => kind === "decision" && detail["allow"] === false && detail["run"] === run,
  );
  assert.equal(refused.length, 3, "the refusals are recorded with their run");
});

test("a step cannot name what its agent may not reach: the run is refused before it begins", async () => {
  await assert.rejects(start("more.yaml"), /may not reach all of/);
});
