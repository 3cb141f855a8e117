/** Hostile code in a real sandbox at a real database: it speaks the protocol itself, and not as clients do. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, test } from "node:test";
import { startDatabase, type DatabaseServer } from "../../fleet/database-server.ts";
import { postgresVersion } from "../../fleet/postgres.ts";
import { attackerPrelude, eventually, printed, startMesh, type MeshFixture } from "../../fleet/running-mesh.ts";
import { filesHolding, memoryHolding, sandboxProcesses } from "../../fleet/search.ts";
import { OutsideAuthority } from "../../fleet/web-place.ts";

const skip = postgresVersion === undefined && "no PostgreSQL is installed";
const canary = `canary-${randomBytes(16).toString("hex")}`;
const authority = new OutsideAuthority();

/** A client of the protocol that sends what it is told, and collects what comes back until it is quiet or closed. */
const client = `
import net from "node:net";
import { tell } from "./prelude.mjs";
export const i32 = (n) => { const b = Buffer.alloc(4); b.writeInt32BE(n | 0); return b; };
export const msg = (type, ...parts) => { const body = Buffer.concat(parts.map((p) => Buffer.from(p))); return Buffer.concat([Buffer.from(type), i32(body.length + 4), body]); };
export const startup = (settings, version = 196608) => msg("", i32(version), Object.entries(settings).map(([k, v]) => k + "\\0" + v + "\\0").join("") + "\\0");
export const me = { user: "reporter", database: "archive" };
export const q = (sql) => msg("Q", sql + "\\0");
export const parse = (name, sql) => msg("P", name + "\\0" + sql + "\\0\\0\\0");
export const bind = (name) => msg("B", "\\0" + name + "\\0", Buffer.alloc(6));
export const execute = () => msg("E", "\\0", i32(0));
export const sync = () => msg("S");
const types = (bytes) => { const found = []; for (let at = 0; at + 5 <= bytes.length;) { found.push(String.fromCharCode(bytes[at])); at += 1 + bytes.readInt32BE(at + 1); } return found; };
const ready = (bytes) => types(bytes).filter((t) => t === "Z").length;
/** Each of \`steps\` is bytes; after one, \`answers\` more ends of a batch are waited for. */
export const session = (...steps) => new Promise((resolve) => {
  const socket = net.connect(5432, "127.0.0.1");
  let seen = Buffer.alloc(0), wanted = 0, closed = false;
  const next = () => {
    const step = steps.shift();
    if (step === undefined) return socket.end();
    wanted += step.answers ?? 1;
    socket.write(step.bytes ?? step);
  };
  const timer = setTimeout(() => socket.destroy(), 20000);
  socket.on("connect", next).on("error", () => {});
  socket.on("data", (piece) => { seen = Buffer.concat([seen, piece]); try { if (ready(seen) >= wanted) next(); } catch {} });
  socket.on("close", () => { clearTimeout(timer); closed = true; resolve(seen.toString("latin1")); });
});
export const query = (database, ...sqls) => session(startup({ ...me, database }), ...sqls.map(q));
`;

const attacker = `
import { tell } from "./prelude.mjs";
import { i32, msg, startup, me, q, parse, bind, execute, sync, session, query } from "./client.mjs";
// A line of a log has an end: of an answer its last part is told, without what cannot be printed.
const attempt = async (name, run) => {
  const answer = await run();
  tell("result", { name, entered: answer.includes("server_version"), answer: answer.replace(/[^ -~]/g, " ").slice(-1500) });
};
const opens = {
  "a length of two thousand million": Buffer.concat([i32(0x7fffffff), i32(196608)]),
  "a negative length": Buffer.concat([i32(-1), i32(196608)]),
  "a length of nothing": i32(0),
  "replication": startup({ ...me, replication: "database" }),
  "options": startup({ ...me, options: "-c default_transaction_read_only=off" }),
  "the setting itself": startup({ ...me, default_transaction_read_only: "off" }),
  "the role as a setting": startup({ ...me, role: "boss" }),
  "another database": startup({ ...me, database: "other" }),
  "the database's own name": startup({ ...me, database: "shop" }),
  "another user": startup({ ...me, user: "owner" }),
  "no database": startup({ user: "reporter" }),
  "another encoding": startup({ ...me, client_encoding: "SJIS" }),
  "two users": msg("", i32(196608), "user\\0reporter\\0database\\0archive\\0USER\\0owner\\0\\0"),
  "text behind the end": msg("", i32(196608), "user\\0reporter\\0database\\0archive\\0\\0user\\0owner\\0\\0"),
  "version 2": startup(me, 131072),
  "version 3.2": startup(me, 196610),
  "encryption with text behind it": Buffer.concat([i32(8), i32(80877103), startup(me)]),
  "encryption asked for again": Buffer.concat([i32(8), i32(80877103)]),
  "a password at once": Buffer.concat([startup(me), msg("p", "x\\0")]),
  "a guess at a cancel key": Buffer.concat([i32(16), i32(80877102), i32(1), i32(2)]),
};
for (const [name, bytes] of Object.entries(opens))
  await attempt(name, () => name === "encryption asked for again" ? session({ bytes, answers: 0 }, { bytes, answers: 1 }) : session({ bytes, answers: 9 }));
const smuggled = {
  "a password in a session": msg("p", "x\\0"),
  "a function by its number": msg("F", i32(2078), Buffer.alloc(8)),
  "a message of an unknown type": msg("~"),
  "a statement of a gigabyte": Buffer.concat([Buffer.from("Q"), i32(1 << 30)]),
  "a statement without its end": msg("Q", "SELECT 1"),
  "two texts in one statement": msg("Q", "SELECT 1\\0SET ROLE boss\\0"),
};
for (const [name, bytes] of Object.entries(smuggled)) await attempt(name, () => session(startup(me), { bytes, answers: 9 }));

// A function of the database's own: nobody reads what it does.
const flip = "select flip()";
const insert = "insert into orders values (6666, 'written')";
// Hidden from whoever reads first words only.
const hidden = "with a as (" + insert + " returning 1) select * from a";
await attempt("a role", () => query("archive", "SET ROLE boss", "SET/**/SESSION AUTHORIZATION boss", "select set_config('role','boss',false)"));
await attempt("writing", () => query("archive", insert, hidden, "BEGIN READ WRITE", "SET TRANSACTION READ WRITE", "explain analyze " + insert, "select lo_create(0)"));
await attempt("a flip in one text", () => query("archive", flip + "; commit; " + hidden));
await attempt("a flip and then", () => query("archive", flip, hidden));
await attempt("a flip with all behind it at once", () => session(startup(me), { bytes: Buffer.concat([q(flip), q("commit"), q(hidden)]), answers: 9 }));
const batch = (...sqls) => sqls.map((sql) => Buffer.concat([parse("", sql), bind(""), execute()]));
await attempt("a flip in one batch", () => session(startup(me), { bytes: Buffer.concat([...batch(flip, "commit", hidden), sync()]), answers: 9 }));
// The server skips what follows an error: the name keeps what it had, whatever came after.
await attempt("a flip behind a name", () => session(startup(me),
  Buffer.concat([parse("c", "commit"), parse("f", flip), parse("h", hidden), sync()]),
  Buffer.concat([parse("x", "select 1/"), parse("c", "select 1"), sync()]),
  { bytes: Buffer.concat([bind("f"), execute(), bind("c"), execute(), bind("h"), execute(), sync()]), answers: 9 }));
await attempt("a flip and a query in its batch", () => session(startup(me), { bytes: Buffer.concat([...batch(flip, "commit"), q(hidden)]), answers: 9 }));
await attempt("the password", () => query("rw", "alter role reporter password 'mine'", "alter user reporter with encrypted password 'mine'"));
await attempt("reflections", () => query("archive", "select note from leaks", "select leak_notice()", "select leak_error()", "select leak_setting()"));
tell("environment", { environment: JSON.stringify(process.env) });
setInterval(() => {}, 1e6);
`;

let server: DatabaseServer;
let mesh: MeshFixture;
/** What stands is ended whatever came after it. */
const begun: { stop(): Promise<unknown> }[] = [];
const results: Record<string, string> = {};
const entered: Record<string, boolean> = {};

before(async () => {
  if (skip) return;
  server = await startDatabase(authority, "reporter", canary);
  begun.unshift(server);
  server.sql("CREATE TABLE leaks (note text)");
  server.sql(`INSERT INTO leaks VALUES ('${canary}'), ('before ${canary} behind')`);
  for (const [name, body] of [
    ["notice", "RAISE NOTICE '%', secret"],
    ["error", "RAISE EXCEPTION '%', encode(secret::bytea, 'hex')"],
    ["setting", "PERFORM set_config('application_name', secret, false)"],
  ])
    server.sql(
      `CREATE FUNCTION leak_${name}() RETURNS void LANGUAGE plpgsql AS $f$ DECLARE secret text := '${canary}'; BEGIN ${body}; END $f$`,
    );
  const off = "PERFORM set_config('default_transaction_read_only', 'off', false)";
  server.sql(`CREATE FUNCTION flip() RETURNS void LANGUAGE plpgsql AS $f$ BEGIN ${off}; END $f$`);
  server.sql("GRANT SELECT ON leaks TO reporter");
  const database = `to: "db.test:${server.port}", address: 127.0.0.1, database: shop, role: reporter, credential: key, ca: ca.pem`;
  mesh = await startMesh({
    "cordon.yaml": `
version: 1
fleet: databases
databases:
  archive: { ${database}, read_only: true }
  rw: { ${database} }
  other: { ${database.replace("database: shop", "database: other")} }
defaults: { model: rehearsal/echo, budget: { day: { usd: 1 } } }
agents:
  thief: { command: [/bin/node, /code/attack.mjs], code: code, may: { databases: [archive, rw] }, sandbox: { cpus: 0.5 } }
`,
    "ca.pem": authority.pem,
    "code/prelude.mjs": attackerPrelude,
    "code/client.mjs": client,
    "code/attack.mjs": attacker,
  });
  begun.unshift(mesh);
  await mesh.desk.addCredential("key", Buffer.from(canary));
  await mesh.restart("thief");
  const told = await eventually(
    "the attacks",
    async () => (await printed(mesh, "thief", "environment")).at(-1),
    120_000,
  );
  assert.ok(told);
  for (const { name, answer, entered: isIn } of await printed(mesh, "thief", "result"))
    [results[String(name)], entered[String(name)]] = [String(answer), isIn === true];
});

after(async () => {
  for (const each of begun) await each.stop();
});

const REFUSED_AT_ONCE = [
  ...["a length of two thousand million", "a negative length", "a length of nothing", "replication", "options"],
  ...["the setting itself", "the role as a setting", "another database", "the database's own name", "another user"],
  ...["no database", "another encoding", "two users", "text behind the end", "version 2", "version 3.2"],
  ...["encryption with text behind it", "encryption asked for again"],
];

test("no first message gets another session than that of the fleet file", { skip }, () => {
  for (const name of REFUSED_AT_ONCE) {
    const answer = results[name] ?? "Z";
    assert.match(answer, /FATAL/, name);
    assert.equal(entered[name], false, name);
  }
  assert.equal(results["a guess at a cancel key"], "");
});

test("what is smuggled into a session ends it", { skip }, () => {
  for (const name of ["a password in a session", "a function by its number", "a message of an unknown type"])
    assert.match(results[name] ?? "", /FATAL.*is not taken/s, name);
  assert.match(results["a password at once"] ?? "", /FATAL.*is not taken/s);
  assert.match(results["a statement of a gigabyte"] ?? "", /FATAL.*a message of 1073741824 bytes/s);
  assert.match(results["a statement without its end"] ?? "", /FATAL.*a text without its end/s);
  assert.match(results["two texts in one statement"] ?? "", /FATAL.*text behind the end/s);
});

test("the role stays that of the fleet file", { skip }, () => {
  const [role = "", own = ""] = [results["a role"], results["the password"]];
  assert.equal(role.split("C42501").length - 1, 3, role);
  assert.equal(own.split("C42501").length - 1, 2, own);
});

test(
  "nothing is written where the database is `read_only`, in one text, one batch or one after another",
  { skip },
  () => {
    const writing = results["writing"] ?? "";
    // Those that only the server sees through: 25006 is its own refusal.
    assert.equal(writing.split("C42501").length - 1, 4, writing);
    assert.equal(writing.split("C25006").length - 1, 2, writing);
    assert.match(results["a flip in one text"] ?? "", /C42501/);
    for (const name of ["a flip and then", "a flip with all behind it at once"])
      assert.match(results[name] ?? "", /FATAL.*has changed `default_transaction_read_only`/s, name);
    for (const name of ["a flip in one batch", "a flip behind a name"])
      assert.match(results[name] ?? "", /FATAL.*behind the end of a transaction/s, name);
    assert.match(results["a flip and a query in its batch"] ?? "", /FATAL.*within a batch/s);
    assert.equal(server.sql("SELECT count(*) FROM orders"), "1000");
  },
);

test("the password comes back in no row, notice, error or setting", { skip }, async () => {
  const reflected = results["reflections"] ?? "";
  assert.equal(reflected.split("[credential removed by cordon]").length - 1, 5, reflected);
  const all = JSON.stringify([results, await printed(mesh, "thief", "environment")]);
  assert.equal(all.includes(canary) || all.includes(Buffer.from(canary).toString("hex")), false);
  for (const pid of sandboxProcesses(mesh.installation)) assert.equal(memoryHolding(pid, canary), false);
  assert.deepEqual(filesHolding(mesh.state, canary), []);
  const { records } = await mesh.desk.audit(0, 1_000);
  assert.equal(JSON.stringify(records).includes(canary), false);
  const { events } = await mesh.desk.events(0, 0);
  assert.ok(events.some(({ type }) => type === "credential.reflected"));
});

test("each refusal and each session is in the audit", { skip }, async () => {
  await mesh.desk.verifyAudit();
  const { records } = await mesh.desk.audit(0, 1_000);
  const text = records.map((record) => JSON.stringify(record));
  for (const part of ["database.cancel", "database.connect", "database.statement", "REFUSED"])
    assert.ok(
      text.some((record) => record.includes(part)),
      part,
    );
});
