import assert from "node:assert/strict";
import { test } from "node:test";
import { parseFleet } from "./parse.ts";

const text = (reach: string, use = "[]", bindings = "{}"): string =>
  `version: 1\nfleet: f\nbindings: ${bindings}\nagents:\n  a: { command: [/bin/a], model: rehearsal/echo, may: { reach: ${reach}, use: ${use} } }\n`;
const may = (...parts: Parameters<typeof text>) => {
  const parsed = parseFleet(text(...parts), "/nowhere");
  assert.ok(parsed.ok, JSON.stringify(parsed));
  return parsed.value.agents[0]?.may;
};
const fault = (...parts: Parameters<typeof text>): string => {
  const parsed = parseFleet(text(...parts), "/nowhere");
  return parsed.ok ? "accepted" : parsed.error.map(({ message, fix }) => `${message} -> ${fix}`).join("; ");
};

test("a rule is a line, or the same in parts", () => {
  const [line, parts] =
    may(`["GET,POST https://*.Example.org:8443/v1/**", { to: "https://10.1.2.3", methods: [PUT], paths: [/a, /b/*] }]`)
      ?.reach ?? [];
  const tail = { methods: ["GET", "POST"], paths: ["/v1/**"], address: null, tls: "intercept" };
  assert.deepEqual({ ...line, text: "" }, { text: "", scheme: "https", host: "*.example.org", port: 8_443, ...tail });
  // An address in the place of a host names that very address.
  assert.deepEqual(
    [parts?.host, parts?.port, parts?.address, parts?.paths],
    ["10.1.2.3", 443, "10.1.2.3", ["/a", "/b/*"]],
  );
});

test("a rule that is not understood, or too wide, is refused with an example", () => {
  for (const [rule, expected] of [
    ["example.org", /is not a place/],
    ["https://*.org", /is too wide/],
    ["https://*", /is not a host/],
    ["https://a.*.org", /is not a host/],
    ["https://*.10.0.0.1", /is too wide/],
    ["https://user@a.example", /is not a host/],
    ["https://a.example:0", /is not a port/],
    ["https://0177.0.0.1", /unusual form/],
    ["https://a.example.", /ends with a dot/],
    ["TRACE https://a.example", /not a method that can be allowed/],
    ["CONNECT https://a.example", /not a method that can be allowed/],
    ["https://a.example/p?q", /not a pattern of paths/],
    ["ftp://a.example", /is not a place/],
  ] as const)
    assert.match(fault(`["${rule}"]`), expected, rule);
  assert.match(fault(`[{ to: "GET https://a.example", methods: [GET] }]`), /twice/);
  assert.match(fault(`[{ to: "GET https://a.example", tls: passthrough }]`), /nobody sees methods/);
});

test("a credential is used where it is bound, and every place of its bindings is in reach", () => {
  const bound = (more: string): string => `{ key: [{ to: "https://a.example", in: basic${more} }] }`;
  assert.deepEqual(may(`["https://a.example"]`, "[key]", bound(", require: true"))?.use, ["key"]);
  assert.deepEqual(
    may(`["https://*.example.org"]`, "[key]", `{ key: [{ to: "https://b.example.org", in: path }] }`)?.use,
    ["key"],
  );
  assert.match(
    fault(`["https://b.example"]`, "[key]", bound("")),
    /out of reach -> add `https:\/\/a\.example:443` to `reach`/,
  );
  assert.match(fault(`["https://a.example"]`, "[other]", bound("")), /`other` has no binding/);
  assert.match(fault(`[{ to: "https://a.example", tls: passthrough }]`, "[key]", bound("")), /passed through unread/);
  assert.match(
    fault(`["http://a.example"]`, "[key]", `{ key: [{ to: "http://a.example", in: basic }] }`),
    /clear text/,
  );
  assert.match(fault("[]", "[]", `{ key: [{ to: "https://a.example", in: cookie }] }`), /wrong type|not known/);
});
