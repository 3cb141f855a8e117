import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import fc from "fast-check";
import type { Binding } from "./binding.ts";
import { readHead, type Field, type WebHead } from "./head.ts";
import { asItIs, choose, inject } from "./injection.ts";
import { bytesOf, fieldsOf, writeHead } from "./outgoing-head.ts";
import { spotsInHead } from "./placeholders.ts";
import type { Said } from "./said.ts";

const to = { host: "api.test", port: 443, literal: false };
const binding = (name: string): Binding => ({
  ...{
    credential: "key",
    scheme: "https",
    host: "api.test",
    port: 443,
    methods: null,
    paths: ["/ok/**"],
    require: true,
  },
  surface: { kind: "header", name },
});

const read = (target: string, fields: readonly Field[], said?: Said): WebHead => {
  const raw = { method: "GET", target, authorities: ["api.test"], fields, upgrade: false, ...(said && { said }) };
  const head = readHead(raw, { scheme: "https", to });
  assert.ok(head.ok);
  return head.value;
};

/** The head as it goes upstream, and the bytes that are reserved for it. */
function written(head: WebHead, bound: Binding | null, secret: string, watched: boolean): readonly [string, number] {
  const plain = { target: head.action.path, fields: head.fields, body: null };
  const outgoing = bound
    ? inject(bound, head, null, secret, { nowMs: () => 0 })
    : ({ ok: true, value: plain } as const);
  assert.ok(outgoing.ok);
  return [writeHead(head, outgoing.value, watched, 0), bytesOf(head, outgoing.value)];
}

test("what a connection says again is written as if it were said for the first time, whatever has changed around it", () => {
  const names = ["accept", "accept-encoding", "range", "user-agent", "x-a", "x-b"] as const;
  const field = fc.tuple(fc.constantFrom(...names), fc.constantFrom("", "a", "b, c", "bytes=0-1"));
  const turn = fc.tuple(fc.constantFrom("/ok/a", "/ok/b"), fc.boolean(), fc.stringMatching(/^[a-z$&0-9]{8,20}$/));
  fc.assert(
    fc.property(
      fc.uniqueArray(field, { maxLength: 5, selector: ([name]) => name }),
      fc.option(fc.nat(5)),
      fc.array(turn, { minLength: 2, maxLength: 5 }),
      (fields, at, turns) => {
        const bound = at === null ? null : binding("authorization");
        const all: Field[] = [...fields];
        if (at !== null) all.splice(at, 0, ["authorization", "Bearer cordon_ph_key"]);
        const said: Said = {};
        for (const [target, watched, secret] of turns) {
          const anew = written(read(target, all), bound, secret, watched);
          assert.deepEqual(written(read(target, all, said), bound, secret, watched), anew);
          assert.equal(anew[0].includes(secret), bound !== null);
          assert.ok(!inspect(said, { depth: null }).includes(secret), "nothing of a secret is kept");
        }
      },
    ),
    { seed: 61, numRuns: 300 },
  );
});

test("a credential that would be read as more than its field is not written, said again or not", () => {
  const fields: readonly Field[] = [["authorization", "Bearer cordon_ph_key"]];
  for (const head of [read("/ok/a", fields), read("/ok/a", fields, {})])
    for (const secret of ["a\r\nx-b: c", "a\nb", "a\0", "\u0100"])
      assert.throws(() => written(head, binding("authorization"), secret, false), /no field may hold/);
});

test("the first line is that of the request, whatever else was said before it is written", () => {
  const said: Said = {};
  const of = (method: string, target: string): WebHead => {
    const raw = { method, target, authorities: ["api.test"], fields: [], upgrade: false, said };
    const head = readHead(raw, { scheme: "https", to });
    assert.ok(head.ok);
    return head.value;
  };
  const lineOf = (head: WebHead): string => writeHead(head, asItIs(head, null), false, 0).split("\r\n")[0] ?? "";
  const [other, remove, get] = [of("GET", "/c"), of("DELETE", "/a?b"), of("GET", "/a?b")];
  for (const head of [other, get, remove, get, other]) {
    const { method, path } = head.action;
    assert.equal(lineOf(head), `${method} ${path}${path === "/a" ? "?b" : ""} HTTP/1.1`);
  }
  assert.equal(lineOf(of("DELETE", "/c")), "DELETE /c HTTP/1.1");
  // A credential in its target is another one each time.
  const again = of("GET", "/c");
  const outgoing = { ...asItIs(again, null), target: "/secret" };
  assert.match(writeHead(again, outgoing, false, 0), /^GET \/secret HTTP/);
  assert.equal(lineOf(again), "GET /c HTTP/1.1");
  assert.match(writeHead(again, outgoing, false, 0), /^GET \/secret HTTP/);
  assert.ok(!inspect(said, { depth: null }).includes("secret"));
});

test("a place or a target that is another one is looked at anew", () => {
  const said: Said = {};
  const fields: readonly Field[] = [["authorization", "Bearer cordon_ph_key"]];
  const here = [binding("authorization")];
  assert.equal(choose(here, read("/ok/a", fields, said), null).ok, true);
  // The same words where no binding covers them, and with another placeholder in the target.
  assert.equal(choose([], read("/no", fields, said), null).ok, false);
  assert.equal(choose(here, read("/ok/cordon_ph_key", fields, said), null).ok, false);
  assert.equal(spotsInHead(read("/ok/a?b=cordon_ph_key", fields, said)).length, 2);
  // A host that was right in one place is not right in another.
  const raw = { method: "GET", target: "/", authorities: ["api.test"], fields, upgrade: false, said };
  const elsewhere = readHead(raw, { scheme: "https", to: { ...to, host: "other.test" } });
  assert.equal(!elsewhere.ok && elsewhere.error.code, "denied");
});

test("the very same head means the same on the same way in, and there only", () => {
  const fields: readonly Field[] = [["x-a", "b"]];
  const raw = { method: "GET", target: "/a", authorities: ["api.test"], fields, upgrade: false, said: {} };
  const entrance = { scheme: "https", to } as const;
  const first = readHead(raw, entrance);
  const again = readHead(raw, entrance);
  assert.ok(first.ok && again.ok && again.value === first.value);
  assert.equal(readHead(raw, { scheme: "https", to: { ...to, host: "other.test" } }).ok, false);
  const other = readHead({ ...raw, target: "/b" }, entrance);
  assert.equal(other.ok && other.value.action.path, "/b");
  const inClear = readHead({ ...raw, authorities: ["api.test:443"] }, { scheme: "http", to: { ...to } });
  assert.ok(inClear.ok);
  const hosts = [first.value, inClear.value].map((head) => written(head, null, "", false)[0].split("\r\n")[1]);
  assert.deepEqual(hosts, ["host: api.test", "host: api.test:443"]);
});

test("an answer that is watched is asked for whole and plain; frames of WebSocket without extensions", () => {
  const fields: readonly Field[] = [
    ["accept-encoding", "br"],
    ["range", "bytes=1-2"],
    ["sec-websocket-extensions", "permessage-deflate"],
    ["x-a", "b"],
  ];
  const head = read("/", fields);
  const outgoing = { target: "/", fields, body: null };
  assert.deepEqual(fieldsOf(head, outgoing, true).map(String), [
    "sec-websocket-extensions,permessage-deflate",
    "x-a,b",
    "accept-encoding,identity",
  ]);
  assert.deepEqual(fieldsOf({ ...head, upgrade: true }, outgoing, true).map(String), [
    "x-a,b",
    "accept-encoding,identity",
  ]);
  assert.equal(fieldsOf(head, outgoing, false), fields);
});
