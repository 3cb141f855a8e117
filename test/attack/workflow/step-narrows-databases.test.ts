/**
 * An agent that may use two databases serves a step that names one of them, and one that names none: hijacked, it tries
 * both, also over what it opened before it took up the step.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { startDatabase, type DatabaseServer } from "../../fleet/database-server.ts";
import { postgresVersion } from "../../fleet/postgres.ts";
import { attackerPrelude, eventually, printed, startMesh, type MeshFixture } from "../../fleet/running-mesh.ts";
import { OutsideAuthority } from "../../fleet/web-place.ts";

const skip = postgresVersion === undefined && "no PostgreSQL is installed";
const authority = new OutsideAuthority();

const clerk = `
import net from "node:net";
import { ask, tell } from "./prelude.mjs";
const i32 = (n) => { const b = Buffer.alloc(4); b.writeInt32BE(n); return b; };
const message = (type, body) => Buffer.concat([Buffer.from(type), i32(body.length + 4), body]);
const statement = (sql) => message("Q", Buffer.from(sql + "\\0"));
const READY = "Z\\0\\0\\0\\x05", COPYING = "G\\0\\0\\0";
/** All that the server has said since the last time, when it has said \`wanted\` or ended. */
const until = async ({ socket, said }, wanted) => {
  for (let i = 0; i < 600 && !said.text.includes(wanted) && !socket.closed; i++) await new Promise((resolve) => setTimeout(resolve, 50));
  return said.text.splice(0);
};
const enter = async (database) => {
  const socket = net.connect(5432, "127.0.0.1");
  const heard = [];
  const said = { text: { includes: (part) => heard.join("").includes(part), splice: () => heard.splice(0).join("") } };
  socket.on("error", () => {}).on("data", (piece) => heard.push(piece.toString("latin1")));
  const body = Buffer.concat([i32(196608), Buffer.from("user\\0reporter\\0database\\0" + database + "\\0\\0")]);
  socket.write(Buffer.concat([i32(body.length + 4), body]));
  const session = { socket, said };
  session.greeting = await until(session, READY);
  return session;
};
const COUNT = "SELECT 'of ' || count(*) FROM orders";
const reason = (text) => text.includes("of 1000") ? "read" : (/M([^\\0]*in this step[^\\0]*)/.exec(text)?.[1] ?? text.replace(/[^ -~]/g, " ").slice(-300));
const query = async (session, sql = COUNT) => { session.socket.write(statement(sql)); return reason(session.greeting + await until(session, READY)); };
const fresh = async (database) => { const session = await enter(database); const result = await query(session); session.socket.destroy(); return result; };
const kept = await enter("desk");
// Rows that come one by one, for longer than it takes until a step has begun.
const streaming = await enter("desk");
streaming.socket.write(statement("SELECT 'row ' || i || repeat('.', 9000), pg_sleep(0.1) FROM generate_series(1, 6000) i"));
await until(streaming, "row 1.");
const copying = await enter("desk");
copying.socket.write(statement("COPY orders FROM STDIN"));
await until(copying, COPYING);
copying.socket.write(message("d", Buffer.from("7001\\tbefore\\n")));
tell("opened", { kept: await query(kept) });
for (;;) {
  const { status, text } = await ask("GET", "/v1/inbox?wait_ms=20000");
  if (status !== 200) { await new Promise((resolve) => setTimeout(resolve, 200)); continue; }
  const { id, body } = JSON.parse(text);
  const when = body.split("\\n")[0];
  const results = { archive: await fresh("archive"), desk: await fresh("desk") };
  if (when === "part") {
    results.kept = await query(kept);
    copying.socket.write(Buffer.concat([message("d", Buffer.from("7002\\tstolen\\n")), message("c", Buffer.alloc(0))]));
    results.copying = reason(await until(copying, READY));
    results.streaming = reason(await until(streaming, "in this step"));
  }
  tell("tried", { when, results });
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
let server: DatabaseServer;
const begun: { stop(): Promise<unknown> }[] = [];

before(async () => {
  if (skip) return;
  server = await startDatabase(authority, "reporter", "let-me-in");
  begun.unshift(server);
  const place = `to: "db.test:${server.port}", address: 127.0.0.1, database: shop, role: reporter, credential: key, ca: ca.pem`;
  mesh = await startMesh({
    "cordon.yaml": `
version: 1
fleet: narrow
databases:
  archive: { ${place}, read_only: true }
  desk: { ${place} }
  wages: { ${place} }
defaults: { model: rehearsal/echo, sandbox: { memory: 128MiB, cpus: 1 } }
agents:
  clerk: { command: [/bin/node, /code/clerk.mjs], code: code, may: { databases: [archive, desk] } }
`,
    "part.yaml": step("part", "databases: [archive]"),
    "none.yaml": step("none", "tools: []"),
    "more.yaml": step("more", "databases: [wages]"),
    "ca.pem": authority.pem,
    "code/prelude.mjs": attackerPrelude,
    "code/clerk.mjs": clerk,
  });
  begun.unshift(mesh);
  await mesh.desk.addCredential("key", Buffer.from("let-me-in"));
  await mesh.restart("clerk");
});
after(async () => {
  for (const each of begun) await each.stop();
});

const start = async (file: string): Promise<string> => (await mesh.desk.startRun(join(mesh.folder, file), {})).run;
async function tried(when: string): Promise<Readonly<Record<string, string>>> {
  const found = await eventually(
    `the attempts ${when}`,
    async () => (await printed(mesh, "clerk", "tried")).find((each) => each["when"] === when),
    120_000,
  );
  return found["results"] as Readonly<Record<string, string>>;
}
const over = (run: string): Promise<unknown> =>
  eventually(`the end of ${run}`, async () => (await mesh.desk.run(run)).finishedAtMs ?? undefined, 60_000);

test("in a step an agent uses the databases that the step names, and afterwards what it may", { skip }, async () => {
  const opened = await eventually("the sessions", async () => (await printed(mesh, "clerk", "opened")).at(-1), 60_000);
  assert.equal(opened["kept"], "read");
  const part = await start("part.yaml");
  const { archive, ...others } = await tried("part");
  assert.equal(archive, "read");
  assert.deepEqual(Object.keys(others), ["desk", "kept", "copying", "streaming"]);
  for (const [what, result] of Object.entries(others))
    assert.match(result, /in this step `clerk` may not use database `desk`/, what);
  await over(part);
  // What was on its way into a table from before the step has gone nowhere.
  assert.equal(server.sql("SELECT count(*) FROM orders"), "1000");

  const none = await start("none.yaml");
  for (const [what, result] of Object.entries(await tried("none")))
    assert.match(result, /in this step `clerk` may not use database/, what);
  await over(none);

  await mesh.desk.send("clerk", "free");
  assert.deepEqual(Object.values(await tried("free")), ["read", "read"]);

  const { records } = await mesh.desk.audit(0, 1_000);
  const ofRun = (run: string, kind: string) =>
    records.filter((record) => record.kind === kind && record.detail["run"] === run);
  assert.equal(ofRun(part, "decision").filter(({ detail }) => detail["allow"] === false).length, 4);
  assert.equal(ofRun(none, "decision").filter(({ detail }) => detail["allow"] === false).length, 2);
  for (const kind of ["database.connect", "database.statements"]) {
    const [record, ...more] = ofRun(part, kind);
    assert.deepEqual([record?.detail["database"], record?.detail["task"], more.length], ["archive", "look", 0], kind);
    assert.deepEqual(ofRun(none, kind), [], kind);
  }
});

test(
  "a step cannot name a database that its agent may not use: the run is refused before it begins",
  { skip },
  async () => {
    await assert.rejects(start("more.yaml"), /`clerk` may not use database `wages`/);
  },
);
