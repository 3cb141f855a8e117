import assert from "node:assert/strict";
import { test } from "node:test";
import { parseFleet } from "./parse.ts";

const fleetWith = (database: string, may = "[orders]"): string => `version: 1
fleet: f
databases:
  orders: { ${database} }
agents:
  a: { model: rehearsal/echo, command: [/bin/node], may: { databases: ${may} } }
`;
const WHOLE = "to: db.example.org, database: shop, role: reporter, credential: orders-db";

const faultsOf = (text: string): string[] => {
  const parsed = parseFleet(text, "/nowhere");
  return parsed.ok ? [] : parsed.error.map(({ message, fix }) => `${message} | ${fix}`);
};

test("a database is reached over verified TLS and logged in to with SCRAM unless the file says otherwise", () => {
  const parsed = parseFleet(fleetWith(WHOLE), "/nowhere");
  assert.ok(parsed.ok);
  assert.deepEqual(parsed.value.databases, [
    {
      ...{ name: "orders", host: "db.example.org", port: 5432, address: null, database: "shop", role: "reporter" },
      ...{ credential: "orders-db", readOnly: false, tls: "verify-full", ca: null, auth: "scram" },
    },
  ]);
  assert.deepEqual(parsed.value.agents[0]?.may.databases, ["orders"]);
});

const wrong: readonly (readonly [database: string, told: RegExp])[] = [
  [`${WHOLE}, tls: off`, /travels in clear text \| remove `tls: off`/],
  [`${WHOLE}, tls: off, address: 10.0.0.1`, /travels in clear text/],
  [`${WHOLE}, address: nowhere`, /must be an IP address/],
  [`${WHOLE}, ca: nowhere.pem`, /`nowhere.pem` is not a file/],
  [`${WHOLE}, readonly: true`, /unknown key `readonly`.*did you mean `read_only`/],
  [`${WHOLE}, auth: password`, /expected one of `scram`, `md5`/],
  [`${WHOLE}, password: x`, /unknown key `password`/],
  [WHOLE.replace("db.example.org", "https://db"), /is not a place \| write `HOST` or `HOST:PORT`/],
  [WHOLE.replace("db.example.org", "db:99999"), /is not a place/],
  [WHOLE.replace("role: reporter, ", ""), /`databases.orders.role` is missing/],
  [WHOLE.replace("role: reporter", 'role: "a\\0b"'), /`databases.orders.role` is refused/],
];
for (const [database, told] of wrong)
  test(`is refused with its fix: ${database}`, () => assert.match(faultsOf(fleetWith(database)).join("\n"), told));

test("without TLS only a server on the mesh host itself is reached", () => {
  for (const place of ["to: 127.0.0.1", "to: db.example.org, address: 127.0.0.1", 'to: "[::1]:5433"'])
    assert.deepEqual(faultsOf(fleetWith(`${place}, database: d, role: r, credential: c, tls: off`)), [], place);
});

test("an agent uses databases of the file only", () => {
  assert.match(faultsOf(fleetWith(WHOLE, "[order]")).join(), /no database `order` \| declare it under `databases`/);
});
