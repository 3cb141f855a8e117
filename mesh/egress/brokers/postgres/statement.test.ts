import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { judge } from "./statement.ts";
import { tokensOf } from "./tokens.ts";

/** As pg_dump says it. */
const NARROWS =
  "SELECT set_config(name, 'view, foreign-table', false) FROM pg_settings WHERE name = 'restrict_nonsystem_relation_kind'";

const allowed = (sql: string, readOnly: boolean): boolean => judge(sql, readOnly).refused === null;

/** Refused whatever the setting says. */
const NEVER = [
  ..."set role boss|SET LOCAL ROLE boss|set session role boss|SET /* x */ ROLE boss|set\trole\nboss".split("|"),
  ...'SET "role" = boss|SET SESSION AUTHORIZATION boss|RESET ROLE|RESET SESSION AUTHORIZATION'.split("|"),
  ..."SELECT 1; SET ROLE boss|/* a /* b */ */ set role boss|-- x\nset role boss|(set role boss)".split("|"),
  ...["SELECT '\\'; SET ROLE boss; --'", "SELECT E'\\''; SET ROLE boss; --'", "SELECT $a$ $b$ $a$; SET ROLE boss"],
  ...["SELECT 1e'\\''; SET ROLE boss; --'", "SELECT $1e'\\''; SET ROLE boss; --'", "SELECT a$b$; SET ROLE boss; --$b$"],
  ...["SELECT E'a'\n'\\'' ; SET ROLE boss; --'", "SELECT E'a' -- x\n'\\'' ; SET ROLE boss; --'"],
  ...["select set_config('role', 'boss', false)", "select pg_catalog . \"set_config\" ('role','boss',true)"],
  ...["select set_config('ro' || 'le', 'boss', false)", "select set_config(E'rol\\x65', 'boss', false)"],
  ...["select set_config(x, 'a', true) from y", "select set_config('app.a','',true), set_config('role','boss',true)"],
  ...["select U&\"set\\005fconfig\"('role', 'boss', false)", "set standard_conforming_strings = off"],
  ...[
    "set client_encoding = 'SJIS'",
    "set names 'BIG5'",
    "alter role me password 'x'",
    "ALTER USER me WITH PASSWORD NULL",
  ],
  ...[
    NARROWS.replace("view, foreign-table", "off"),
    NARROWS.replace("restrict_nonsystem_relation_kind", "role"),
    NARROWS.replace("'view, foreign-table'", "'view, foreign-table' || ''"),
    NARROWS.replace("pg_settings", "pg_settings, b"),
    NARROWS.replace("pg_settings", "a.pg_settings"),
    `${NARROWS} or true`,
    `${NARROWS}; ${NARROWS.replace("view, foreign-table", "boss")}`,
    `with a as (${NARROWS}) table a`,
  ],
  ...["create role you login password 'x'", "alter system set a = 1", "load 'x'", "prepare transaction 'x'"],
  ...["copy orders to '/tmp/x'", "copy orders from program 'id'", "COPY a TO STDOUT; copy b to program 'cat'"],
  ...["select 'open", 'select "open', "select $$open", "/* open", "/* /* */", "nonsense", "SELECT 1\0; SET ROLE boss"],
];

/** Refused where the database is `read_only`. */
const WRITES = [
  ..."insert into a values (1)|update a set b = 1|delete from a|merge into a using b on c|truncate a".split("|"),
  ..."create table a ()|alter table a add b int|drop table a|grant select on a to b|call p()|do $$begin end$$".split(
    "|",
  ),
  ..."vacuum|analyze|copy a from stdin|lock table a|refresh materialized view a|notify a|comment on table a is 'b'".split(
    "|",
  ),
  ...[
    "begin read write",
    "start transaction isolation level serializable, READ/**/WRITE",
    "set transaction read write",
  ],
  ...["set session characteristics as transaction read only", "set default_transaction_read_only = off"],
  ...["set local transaction_read_only to off", 'set "Transaction_Read_Only" = 0', "reset transaction_read_only"],
  ...[
    "select set_config('transaction_read_only','off',true)",
    "commit; select 1",
    "select 1; rollback",
    "select 1; end;",
  ],
];

const READS = [
  ...[NARROWS, "set transaction_timeout = 0", NARROWS.replace("pg_settings", "Pg_Settings")],
  ..."select 1|SELECT 'set role boss'|select 1; select 2;|with a as (select 1) table a|values (1)|show all|".split("|"),
  ..."begin|begin read only|commit|rollback|savepoint a|set search_path to a, b|set time zone 'UTC'|set a.b = 1".split(
    "|",
  ),
  ..."copy a to stdout|copy (select 1) to stdout|lock table a in access share mode|reset all|explain select 1".split(
    "|",
  ),
  ...[
    "select set_config('search_path', '', false)",
    "select set_config('app.user', 'x', true)",
    "/* set role */ select 1",
  ],
  ...[
    "select $$; set role boss $$",
    'select "set role boss" from a',
    "select $a$ ' $a$",
    "set client_encoding to 'utf-8'",
  ],
  ...[
    "select 'it''s; set role'",
    "select E'\\'; set role'",
    "set transaction isolation level repeatable read, read only",
  ],
];

test("what would change who the session is, or be read in two ways, is refused always", () => {
  for (const sql of NEVER) for (const readOnly of [true, false]) assert.equal(allowed(sql, readOnly), false, sql);
});

test("what writes is refused where the database is for reading only", () => {
  for (const sql of WRITES) assert.equal(allowed(sql, true), false, sql);
  for (const sql of WRITES.slice(0, 15)) assert.equal(allowed(sql, false), true, sql);
});

test("what reads passes, whatever stands in its texts, names and comments", () => {
  for (const sql of READS)
    for (const readOnly of [true, false]) assert.deepEqual(judge(sql, readOnly).refused, null, sql);
});

test("classes hold no letter of what was written", () => {
  const sql = "SELECT 'secret-1'; WITH secret_2 AS (SELECT 1) SELECT 2; secret_3; ;";
  assert.deepEqual(judge(sql, false).classes, ["SELECT", "WITH", "OTHER"]);
});

test("a text is a text however it is quoted: what stands in it is never a word", () => {
  const inner = fc.string({ unit: fc.constantFrom("'", '"', "\\", ";", "-", "/", "*", "$", "\n", " ", "x", "E") });
  fc.assert(
    fc.property(inner, (text) => {
      const quoted = [`'${text.replaceAll("'", "''")}'`, `E'${text.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`];
      if (!text.includes("$t$") && !text.endsWith("$t")) quoted.push(`$t$${text}$t$`);
      for (const each of quoted) {
        const tokens = tokensOf(`before ${each} behind`);
        assert.ok(tokens.ok, each);
        assert.deepEqual(
          tokens.value.map(({ kind }) => kind),
          ["word", "text", "word"],
          each,
        );
      }
    }),
    { seed: 17, numRuns: 3_000 },
  );
});

test("reading takes linear time", () => {
  for (const piece of ["/*", "$a", "'", "E'\\", "-- ", "$a$", "a.", "U&", "("]) {
    const sql = piece.repeat(250_000);
    const cost = process.cpuUsage();
    tokensOf(sql);
    // A quadratic reading of so many would take minutes.
    assert.ok(process.cpuUsage(cost).user < 20_000_000, piece);
  }
});
