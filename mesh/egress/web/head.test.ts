import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { readHead, type Entrance, type RawHead } from "./head.ts";

const to = { host: "api.test", port: 443, literal: false };
const inTunnel: Entrance = { scheme: "https", to };
const raw = (more: Partial<RawHead> = {}): RawHead => ({
  ...{ method: "GET", target: "/a/b?c=d", authorities: ["api.test"], fields: [["accept", "*/*"]], upgrade: false },
  ...more,
});
const fault = (more: Partial<RawHead>, entrance: Entrance = inTunnel): string => {
  const read = readHead(raw(more), entrance);
  return read.ok ? `accepted: ${JSON.stringify(read.value)}` : read.error.reason;
};

test("a head in a tunnel, and one by its whole address", () => {
  const read = readHead(
    raw({
      fields: [
        ["accept", "*/*"],
        ["content-length", "5"],
      ],
    }),
    inTunnel,
  );
  assert.ok(read.ok);
  assert.deepEqual(read.value, {
    action: { verb: "web.request", scheme: "https", host: "api.test", port: 443, method: "GET", path: "/a/b" },
    ...{ to, query: "c=d", fields: [["accept", "*/*"]], bytes: 5, upgrade: false },
  });
  const whole = readHead(raw({ target: "http://api.test:8080?x", authorities: ["api.test:8080"] }), null);
  assert.ok(whole.ok);
  assert.deepEqual([whole.value.action.path, whole.value.query, whole.value.to.port], ["/", "x", 8_080]);
});

test("what was decided on cannot be changed by a field", () => {
  for (const name of [
    "x-http-method-override",
    "x_http_method",
    "x-original-url",
    "x-rewrite-url",
    "x-forwarded-host",
    "forwarded",
    "content_length",
    "transfer_encoding",
  ])
    assert.match(fault({ fields: [[name, "x"]] }), /changes what was decided on/, name);
  assert.match(
    fault({
      fields: [
        ["authorization", "a"],
        ["authorization", "b"],
      ],
    }),
    /there twice/,
  );
});

test("fields that are for one hop, and those that they name, stay behind", () => {
  const read = readHead(
    raw({
      fields: [
        ["connection", "close, x-a"],
        ["x-a", "1"],
        ["te", "trailers"],
        ["proxy-authorization", "x"],
        ["x-b", "2"],
        ["expect", "100-continue"],
      ],
    }),
    inTunnel,
  );
  assert.deepEqual(read.ok && read.value.fields, [["x-b", "2"]]);
});

test("a host is named once, and is that of the connection", () => {
  assert.match(fault({ authorities: [] }), /exactly once/);
  assert.match(fault({ authorities: ["api.test", "api.test"] }), /exactly once/);
  for (const said of ["evil.test", "api.test:8443", "api.test.evil", "127.0.0.1"])
    assert.match(fault({ authorities: [said] }), /another place/, said);
  for (const said of ["api.test@evil", "api.test.", "api.test/x", ""])
    assert.match(fault({ authorities: [said] }), /not understood/, said);
});

test("a target has one reading", () => {
  for (const target of [
    "*",
    "api.test:443",
    "//evil.test/x",
    "http://evil.test/",
    "/a b",
    "/a\\b",
    "/a#b",
    "/ü",
    "/%zz",
    "/%",
    "/a/../b",
    "/a/%2E./b",
    "/%00",
    "/\u0001",
    "/a\tb",
    "/a\r\nb",
    `/${"a".repeat(9_000)}`,
  ]) {
    const said = fault({ target });
    if (target === "//evil.test/x") assert.match(said, /accepted.*"path":"\/\/evil.test\/x"/);
    else assert.doesNotMatch(said, /^accepted/, target);
  }
  for (const target of [
    "/x",
    "https://api.test/x",
    "ftp://api.test/x",
    "http:/api.test",
    "http://user@api.test/x",
    "http://api.test\\@evil/x",
    "HTTP://api.test/x",
  ])
    assert.doesNotMatch(fault({ target }, null), /^accepted/, target);
});

test("whatever comes, what goes on is of the place that was connected to", () => {
  const text = fc.oneof(
    fc.string({ unit: "binary", maxLength: 12 }),
    fc.constantFrom("api.test", "api.test:443", "/", "/a", "http://api.test/", "GET", "host", "content-length", "5"),
  );
  fc.assert(
    fc.property(
      text,
      text,
      fc.array(text, { maxLength: 2 }),
      fc.array(fc.tuple(text, text), { maxLength: 3 }),
      (method, target, authorities, fields) => {
        const read = readHead({ method, target, authorities, fields, upgrade: false }, inTunnel);
        if (!read.ok) return;
        const { action, query = "" } = read.value;
        const url = new URL(`https://api.test${action.path}?${query}`);
        assert.deepEqual([url.host, url.pathname], ["api.test", action.path]);
        for (const [name, value] of read.value.fields) new Headers([[name, value]]);
      },
    ),
    { seed: 48, numRuns: 5_000 },
  );
});

test("WebSocket begins with a GET without a body", () => {
  assert.match(fault({ upgrade: true }), /^accepted/);
  for (const more of [
    { method: "POST" },
    { fields: [["content-length", "5"]] },
    { fields: [["transfer-encoding", "chunked"]] },
  ] as const)
    assert.match(fault({ ...more, upgrade: true }), /begins with a GET/);
});
