/** Clients as people have them, unchanged, through the broker: they know an address, a database and a role, and no password. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { DatabaseSetting } from "../../mesh/egress/brokers/postgres/setting.ts";
import { startDatabasePlace, type DatabasePlace } from "../fleet/database-place.ts";
import { startDatabase, type DatabaseServer } from "../fleet/database-server.ts";
import { postgresVersion } from "../fleet/postgres.ts";
import { eventually } from "../fleet/running-mesh.ts";
import { OutsideAuthority } from "../fleet/web-place.ts";

const skip = postgresVersion === undefined && "no PostgreSQL is installed";
const password = `canary-${randomBytes(12).toString("hex")}`;
const authority = new OutsideAuthority();
let folder: string;
let server: DatabaseServer;
let place: DatabasePlace;

const settingOf = (more: Partial<DatabaseSetting> = {}): DatabaseSetting => ({
  ...{ name: "orders", host: "db.test", port: server.port, address: "127.0.0.1", database: "shop", role: "reporter" },
  ...{ credential: "key", readOnly: false, tls: "verify-full", ca: authority.pem, auth: "scram" },
  ...more,
});

before(async () => {
  if (skip) return;
  folder = mkdtempSync(join(tmpdir(), "cordon-broker-"));
  server = await startDatabase(authority, "reporter", password);
  place = await startDatabasePlace([settingOf(), settingOf({ name: "archive", readOnly: true })], { key: password });
});

after(async () => {
  if (skip) return;
  await place.close();
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

interface Ended {
  readonly code: number | null;
  readonly out: string;
}

function start(program: string, words: readonly string[], at: DatabasePlace = place, more = {}, open = false) {
  const child = spawn(program, words, {
    env: { PATH: process.env["PATH"] ?? "", HOME: folder, ...at.environment, ...more },
    cwd: folder,
  });
  let out = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (piece: Buffer) => (out += piece.toString()));
  if (!open) child.stdin.end();
  const ended = new Promise<Ended>((resolve) => child.once("close", (code) => resolve({ code, out })));
  return { child, ended, seen: () => out };
}

const psql = (sql: string, at?: DatabasePlace, more = {}): Promise<Ended> =>
  start("psql", ["-XAtc", sql], at, more).ended;

test("psql asks without a password, and is the role of the fleet file", { skip }, async () => {
  const { code, out } = await psql("SELECT count(*), current_user, current_database() FROM orders");
  assert.deepEqual([code, out], [0, "1000|reporter|shop\n"]);
});

test("the mesh logs in with SCRAM over TLS, bound to the server's certificate", { skip }, async () => {
  const { out } = await psql("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()");
  assert.equal(out, "t\n");
});

test("COPY in and out, of more than is held at once", { skip }, async () => {
  const rows = Array.from({ length: 40_000 }, (_, index) => `${index}\t${"x".repeat(100)} ${index}`).join("\n");
  writeFileSync(join(folder, "in.tsv"), `${rows}\n`);
  assert.equal((await psql("CREATE TABLE big (id int, note text)")).code, 0);
  assert.deepEqual(await psql("\\copy big FROM in.tsv"), { code: 0, out: "COPY 40000\n" });
  assert.deepEqual(await psql("\\copy big TO out.tsv"), { code: 0, out: "COPY 40000\n" });
  assert.equal(readFileSync(join(folder, "out.tsv"), "utf8"), `${rows}\n`);
  const refused = await psql("\\copy big FROM nowhere.tsv");
  assert.equal(refused.code, 1);
});

test("transactions, errors in them and savepoints are the server's own", { skip }, async () => {
  writeFileSync(
    join(folder, "steps.sql"),
    `BEGIN; CREATE TABLE steps (n int);
INSERT INTO steps VALUES (1);
SAVEPOINT s;
SELECT 1/0;
SET ROLE boss;
ROLLBACK TO s;
SET ROLE boss;
ROLLBACK TO s;
INSERT INTO steps VALUES (2);
COMMIT;
SELECT sum(n) FROM steps;`,
  );
  const { code, out } = await start("psql", ["-XAtf", "steps.sql"]).ended;
  assert.equal(code, 0);
  assert.match(out, /division by zero/);
  assert.match(out, /current transaction is aborted|cordon: `role` is not for agents to set/);
  assert.match(out, /\n3\n$/);
});

test("pgbench: thousands of statements, simple, extended and prepared, of several clients", { skip }, async (t) => {
  const program = `/usr/lib/postgresql/${postgresVersion}/bin/pgbench`;
  if (!existsSync(program)) return t.skip("no pgbench is installed");
  const made = await start(program, ["-i", "-q", "orders"]).ended;
  assert.equal(made.code, 0, made.out);
  for (const mode of ["simple", "extended", "prepared"]) {
    const { code, out } = await start(program, ["-n", "-M", mode, "-c", "2", "-t", "40", "orders"]).ended;
    assert.equal(code, 0, out);
    assert.match(out, /number of transactions actually processed: 80\/80/);
  }
});

test("psql describes a table of a database that is `read_only`", { skip }, async () => {
  const { code, out } = await start("psql", ["-Xc", "\\d orders", "archive"]).ended;
  assert.equal(code, 0, out);
  assert.match(out, /note +\| text/);
});

test("pg_dump of a database that is `read_only` has its rows, and says nothing but what reads", { skip }, async (t) => {
  const program = `/usr/lib/postgresql/${postgresVersion}/bin/pg_dump`;
  if (!existsSync(program)) return t.skip("no pg_dump is installed");
  const from = place.records.length;
  const { code, out } = await start(program, ["archive"]).ended;
  assert.equal(code, 0, out);
  assert.match(out, /CREATE TABLE public\.orders/);
  const rows = /\nCOPY public\.orders \([a-z, ]+\) FROM stdin;\n([^\\]*)\\\.\n/.exec(out)?.[1];
  assert.equal(rows, (await psql("COPY orders TO STDOUT")).out);
  // Each statement is on record before it runs.
  const records = place.records.slice(from);
  const said = records.filter(({ kind }) => kind === "database.statements").map(({ detail }) => JSON.stringify(detail));
  assert.ok(said.some((each) => each.includes('"COPY"')) && said.some((each) => each.includes('"LOCK"')));
  assert.deepEqual(
    records.filter(({ kind, detail }) => kind === "decision" || JSON.stringify(detail).includes("REFUSED")),
    [],
  );
});

test("a statement is cancelled by who runs it", { skip }, async () => {
  const running = start("psql", ["-Xc", "SELECT pg_sleep(20)"]);
  const sleeping = (): string =>
    server.sql(
      "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(20)' AND state = 'active' AND usename = 'reporter'",
    );
  await eventually("the statement to run", async () => (sleeping() === "1" ? true : undefined));
  running.child.kill("SIGINT");
  const { out } = await running.ended;
  assert.match(out, /canceling statement due to user request/);
  assert.ok(place.records.some(({ kind }) => kind === "database.cancel"));
});

test("the audit names each class of statement before it runs, and no letter of it", { skip }, async () => {
  const from = place.records.length;
  await psql("SELECT 'literal-of-mine' AS x");
  const own = await eventually("the end of the session", async () => {
    const records = place.records.slice(from);
    // The session of another test may end only now.
    const begun = records.findIndex(({ kind }) => kind === "database.connect");
    return records.length > begun + 2 ? records.slice(begun) : undefined;
  });
  assert.deepEqual(
    own.map(({ kind }) => kind),
    ["database.connect", "database.statements", "database.closed"],
  );
  assert.deepEqual(own[1]?.detail["classes"], { SELECT: 1 });
  assert.equal(JSON.stringify(place.records).includes("literal-of-mine"), false);
  assert.equal(JSON.stringify(place.records).includes(password), false);
});

test("a halted agent's next statement does not run", { skip }, async (t) => {
  const own = await startDatabasePlace([settingOf()], { key: password });
  t.after(() => own.close());
  const running = start("psql", ["-XAt"], own, {}, true);
  running.child.stdin.write("SELECT 'first';\n");
  await eventually("the first answer", async () => (running.seen().includes("first\n") ? true : undefined));
  own.halt();
  running.child.stdin.end("SELECT 'second';\n");
  const { out } = await running.ended;
  assert.match(out, /FATAL: +cordon: the agent is halted/);
  assert.equal(out.includes("second\n"), false);
  assert.match((await psql("SELECT 1", own)).out, /the agent is halted/);
});

const logins: readonly (readonly [string, Partial<DatabaseSetting>, string, RegExp])[] = [
  ["a wrong password", {}, "wrong-password", /the server does not take the role's password/],
  ["a server of another name", { host: "other.test" }, password, /no connection to `orders`/],
  ["a server of another authority", { ca: new OutsideAuthority().pem }, password, /no connection to `orders`/],
  ["another way of logging in", { auth: "md5" }, password, /does not ask for the password by `auth: md5`/],
  ["a credential that is not there", { credential: "none" }, password, /there is no credential `none`/],
  ["a private address that nobody named", { address: null, host: "localhost" }, password, /which is not public/],
];
for (const [what, more, secret, told] of logins)
  test(`no session: ${what}`, { skip }, async (t) => {
    const own = await startDatabasePlace([settingOf(more)], { key: secret });
    t.after(() => own.close());
    const { code, out } = await psql("SELECT 1", own);
    assert.equal(code, 2);
    assert.match(out, told);
    assert.equal(out.includes(secret), false);
  });
