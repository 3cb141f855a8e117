import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { limits } from "../../protocol/limits.ts";
import { KnownFields, KnownHead, readRequestHead } from "./request-head.ts";
import { nodeReadsRequests } from "./testing/wire.ts";

const fuzzMs = Number(process.env["CORDON_FUZZ_SECONDS"] ?? 0) * 1_000;
const bytesOf = (text: string): Buffer => Buffer.from(text, "latin1");

test("what programs write is read", () => {
  const head =
    "POST /openai/v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n" +
    "X-Empty:\r\nX-Spaces: \t a b \t\r\nContent-Length: 12\r\nConnection: Keep-Alive\r\n\r\n";
  const read = readRequestHead(bytesOf(`${head}{"a": "\u00e9"}`));
  assert.deepEqual(read && { ...read, headers: { ...read.headers } }, {
    method: "POST",
    target: "/openai/v1/chat/completions",
    headers: {
      host: "127.0.0.1",
      "content-type": "application/json",
      "x-empty": "",
      "x-spaces": "a b",
      "content-length": "12",
      connection: "Keep-Alive",
    },
    length: 12,
    keeps: true,
    bytes: head.length,
  });
  const poll = readRequestHead(bytesOf("GET /v1/inbox?wait_ms=1 HTTP/1.1\r\nConnection: close\r\n\r\n"));
  assert.deepEqual([poll?.target, poll?.length, poll?.keeps], ["/v1/inbox?wait_ms=1", 0, false]);
  assert.equal(readRequestHead(bytesOf("GET / HTTP/1.1\r\n__proto__: x\r\n\r\n"))?.headers["__proto__"], "x");
});

test("with what was read before on a connection, heads are read as without", () => {
  const line = fc.constantFrom("GET /a", "POST /b?c", "PUT /a", "GET /d");
  const field = fc.constantFrom(
    ...["A: b", "A: c", "Content-Length: 3", "Content-Length: 03", "Connection: close", "Transfer-Encoding: chunked"],
    ...["a : b", "Connection: keep-alive"],
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(line, fc.array(field, { maxLength: 2 })), { maxLength: 6 }), (heads) => {
      const known = new KnownFields();
      for (const [first, fields] of heads) {
        const bytes = bytesOf([`${first} HTTP/1.1`, ...fields, "", ""].join("\r\n"));
        assert.deepEqual(readRequestHead(bytes, known), readRequestHead(bytes));
      }
    }),
    { seed: 62, numRuns: 500 },
  );
});

test("a head that differs from the one before in the length alone is known, and read as without", () => {
  const name = fc.constantFrom("Content-Length", "content-length", "X-Content-Length");
  const length = fc.constantFrom(
    "3",
    "12",
    "12345",
    "03",
    "+3",
    "",
    " 7 ",
    "1, 1",
    "3\r\nA: c",
    "3\r\nContent-Length: 3",
    "9".repeat(15),
    "9".repeat(16),
  );
  const more = fc.constantFrom("A: b", "A: bb", "Transfer-Encoding: chunked", "Connection: close");
  const head = fc
    .tuple(fc.constantFrom("POST /a", "POST /b"), name, length, more)
    .map(([line, field, value, last]) =>
      bytesOf(`${line} HTTP/1.1\r\nHost: h\r\n${field}: ${value}\r\n${last}\r\n\r\n`),
    );
  // In pieces, too, or with the beginning of what comes after it.
  const come = fc
    .tuple(head, fc.oneof(fc.constant(0), fc.integer({ min: -80, max: 8 })))
    .map(([bytes, more]) => (more < 0 ? bytes.subarray(0, more) : Buffer.concat([bytes, Buffer.alloc(more, "\r\n")])));
  const said = (read: ReturnType<typeof readRequestHead>) => {
    const { "content-length": _told, ...headers } = read?.headers ?? {};
    return read && { ...read, headers };
  };
  fc.assert(
    fc.property(fc.array(come, { maxLength: 6 }), (heads) => {
      const known = new KnownHead();
      for (const bytes of heads) assert.deepEqual(said(readRequestHead(bytes, known)), said(readRequestHead(bytes)));
    }),
    { seed: 63, numRuns: 3_000 },
  );
  const known = new KnownHead();
  const post = (bytes: number) => bytesOf(`POST /a HTTP/1.1\r\nContent-Length: ${bytes}\r\nA: b\r\n\r\n`);
  const first = readRequestHead(post(7), known);
  const second = readRequestHead(post(1_234), known);
  assert.equal(second?.length, 1_234);
  assert.equal(second?.headers, first?.headers, "nothing was read again");

  // As long as a head may be, and then longer by its length.
  const long = (bytes: number) =>
    post(bytes)
      .toString("latin1")
      .replace("A: b", `A: ${"b".repeat(LONGEST)}`);
  const LONGEST = limits.door.headerBytesMax / 2 + 4 - post(7).length + 1;
  assert.equal(readRequestHead(bytesOf(long(7)), known)?.length, 7);
  for (const bytes of [12, 123]) assert.equal(readRequestHead(bytesOf(long(bytes)), known), undefined);
});

test("whatever is framed in another way, wants another protocol or could be read twice is left to who knows all of HTTP", () => {
  const post = (fields: string, line = "POST /v1/a HTTP/1.1"): string => `${line}\r\n${fields}\r\n\r\n`;
  for (const text of [
    post("Content-Length: 5\r\nTransfer-Encoding: chunked"),
    post("Transfer-Encoding: chunked"),
    ...["+2", "0x2", "2, 2", "02", "-1", "2 2", "\u00b2", "9".repeat(16)].map((length) =>
      post(`Content-Length: ${length}`),
    ),
    post("Content-Length: 2\r\nContent-Length: 2"),
    post("X-A: 1\r\nx-a: 1"),
    post("X-A: b\r\n Content-Length: 2"),
    post("Content-Length : 2"),
    post("X-A: \0"),
    post("X-A: a\rb"),
    post("X-A: a\x7f"),
    post("X A: b"),
    post(": b"),
    post("no colon"),
    "POST /v1/a HTTP/1.1\nContent-Length: 2\n\n{}\r\n\r\n",
    "POST /v1/a HTTP/1.1\r\nX-A: b\nContent-Length: 2\r\n\r\n",
    "\r\nPOST /v1/a HTTP/1.1\r\n\r\n",
    ...[
      "Upgrade: h2c",
      "Expect: 100-continue",
      "Connection: upgrade",
      "Connection: close, te",
      "Proxy-Connection: close",
    ].map((field) => post(field)),
    ...["TE: trailers", "Trailer: x", "HTTP2-Settings: a"].map((field) => post(field)),
    ...["PUT /v1/a HTTP/1.1", "post /v1/a HTTP/1.1", "POST http://a/v1/a HTTP/1.1", "POST * HTTP/1.1"].map((line) =>
      post("X: 1", line),
    ),
    ...["POST  /v1/a HTTP/1.1", "POST /v1/a  HTTP/1.1", "POST /v1/a HTTP/1.0", "POST /v1/a HTTP/2.0", "POST /v1/a"].map(
      (line) => post("X: 1", line),
    ),
    ...["POST /v1/\u00e9 HTTP/1.1", "POST /v1#a HTTP/1.1", "POST /v1\ta HTTP/1.1", 'POST /"a HTTP/1.1'].map((line) =>
      post("X: 1", line),
    ),
    "CONNECT a:1 HTTP/1.1\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    post(`X-A: ${"a".repeat(limits.door.headerBytesMax)}`),
    post(Array.from({ length: limits.door.headerCountMax + 1 }, (_, n) => `X-${n}: 1`).join("\r\n")),
    "POST /v1/a HTTP/1.1\r\nX: 1\r\n",
    "",
  ])
    assert.equal(readRequestHead(bytesOf(text)), undefined, JSON.stringify(text.slice(0, 120)));
});

const name = fc.oneof(
  fc.constantFrom(
    "content-length",
    "Content-Length",
    "transfer-encoding",
    "host",
    "Host",
    "connection",
    "cookie",
    "x-a",
    "X-A",
    "__proto__",
  ),
  fc.constantFrom(
    "upgrade",
    "expect",
    "te",
    "content-type",
    "authorization",
    "user-agent",
    "proxy-connection",
    "keep-alive",
    "x_a",
    "constructor",
  ),
);
const value = fc.oneof(
  fc.constantFrom(
    "0",
    "2",
    "3",
    "02",
    "+2",
    "2,2",
    "chunked",
    "close",
    "keep-alive",
    "Keep-Alive",
    "upgrade",
    "",
    "\t x \t",
    "100-continue",
  ),
  fc.string({ unit: fc.constantFrom("a", " ", "\t", "\u00e9", ",", ";", '"', "\x7f", "\x01"), maxLength: 5 }),
);
const often = <T>(usual: T, ...others: T[]) =>
  fc.oneof({ weight: 12, arbitrary: fc.constant(usual) }, fc.constantFrom(...others));
const path = fc.string({
  unit: fc.constantFrom(
    "/",
    "a",
    "%",
    "2",
    "?",
    "=",
    "&",
    ".",
    "~",
    "|",
    "'",
    "(",
    "@",
    ":",
    ";",
    "+",
    "[",
    "#",
    '"',
    "\\",
    "^",
    "{",
    "\u00e9",
    " ",
  ),
  maxLength: 8,
});
const requests = fc
  .record({
    method: often("POST", "GET", "PUT", "post", "HEAD", "POST "),
    target: fc.oneof(
      { weight: 3, arbitrary: fc.constant("/v1/a") },
      path.map((rest) => `/${rest}`),
      path,
    ),
    version: often("HTTP/1.1", "HTTP/1.0", "http/1.1", "HTTP/1.1 ", "HTTP/1.2"),
    fields: fc.array(fc.tuple(name, often(": ", ":", ":\t", " : "), value, often("\r\n", "\n", "\r", "\r\n ")), {
      maxLength: 4,
    }),
    body: fc.string({ unit: fc.constantFrom("{", "}", "a", "\r", "\n"), maxLength: 6 }),
    sized: fc.boolean(),
    spoil: fc.option(fc.tuple(fc.nat(120), fc.constantFrom("", "\0", "\r", "\n", " ", ":", "\t")), { freq: 4 }),
  })
  .map(({ method, target, version, fields, body, sized, spoil }) => {
    const lines = fields.map(([field, colon, text, end]) => `${field}${colon}${text}${end}`).join("");
    const own = sized ? `content-length: ${body.length}\r\n` : "";
    const whole = `${method} ${target} ${version}\r\n${own}${lines}\r\n${body}`;
    return spoil ? whole.slice(0, spoil[0]) + spoil[1] + whole.slice(spoil[0] + 1) : whole;
  });

test("what is read here, llhttp reads in the same way, to the same byte", async () => {
  let accepted = 0;
  const options = { maxHeaderSize: limits.door.headerBytesMax, insecureHTTPParser: false, requireHostHeader: false };
  // A request that everybody understands: where it is found shows how long the one before was taken to be.
  const marker = "GET /marker HTTP/1.1\r\nConnection: close\r\n\r\n";
  await fc.assert(
    fc.asyncProperty(requests, async (text) => {
      const own = readRequestHead(bytesOf(text));
      if (!own || bytesOf(text).length < own.bytes + own.length) return;
      accepted++;
      const upTo = bytesOf(text).subarray(0, own.bytes + own.length);
      const [first, second] = await nodeReadsRequests(
        // After a request that ends its connection, anything is an error to llhttp.
        own.keeps ? Buffer.concat([upTo, bytesOf(marker)]) : upTo,
        options,
      );
      const told = JSON.stringify(text);
      assert.ok(first, `llhttp refuses ${told}`);
      assert.deepEqual([first.method, first.target], [own.method, own.target], told);
      assert.equal(first.body, upTo.subarray(own.bytes).toString("latin1"), told);
      // Node's headers have `__proto__` as an ordinary object has it: not at all.
      const { ...headers } = own.headers;
      assert.deepEqual(
        { ...first.headers },
        Object.fromEntries(Object.entries(headers).filter(([each]) => each !== "__proto__")),
        told,
      );
      assert.equal(second?.target, own.keeps ? "/marker" : undefined, told);
    }),
    {
      seed: 47,
      ...(fuzzMs > 0
        ? { numRuns: 1e9, interruptAfterTimeLimit: fuzzMs, markInterruptAsFailure: false }
        : { numRuns: 2_500 }),
    },
  );
  assert.ok(accepted > 300, `${accepted} requests were read`);
});
