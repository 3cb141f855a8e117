import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { AnswerReader } from "./answer-reader.ts";
import type { Fields } from "./fields.ts";
import { nodeReadsAnswer } from "./testing/wire.ts";

const fuzzMs = Number(process.env["CORDON_FUZZ_SECONDS"] ?? 0) * 1_000;

/** Reads an answer that comes in these pieces. */
function read(pieces: readonly Buffer[], ends = false) {
  const heard = { status: 0, fields: {} as Fields, body: "", ends: 0, pieces: 0 };
  const reader = new AnswerReader({
    head: (status, fields) => Object.assign(heard, { status, fields }),
    data: (bytes) => {
      heard.body += bytes.toString("latin1");
      heard.pieces++;
    },
    end: () => void heard.ends++,
  });
  let fault: string | undefined;
  // The reader moves bytes in their place.
  for (const piece of pieces) fault ??= reader.push(Buffer.from(piece));
  if (ends && fault === undefined && !reader.over) fault = reader.finish();
  return { ...heard, fault, over: reader.over, keeps: reader.keeps, keptMs: reader.keptMs };
}

const bytesOf = (text: string): Buffer => Buffer.from(text, "latin1");
const cut = (bytes: Buffer, size: number): Buffer[] =>
  Array.from({ length: Math.ceil(bytes.length / size) }, (_, n) => bytes.subarray(n * size, (n + 1) * size));

const SIZED = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nKeep-Alive: timeout=7\r\n\r\nhello";
const CHUNKED =
  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\nX-A: 2\r\n\r\n" +
  "5\r\nhello\r\n1;ext=a\r\n \r\n00A\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\n";

test("an answer is read to the same end, however it is cut", () => {
  for (const [text, body] of [
    [SIZED, "hello"],
    [CHUNKED, "hello 0123456789"],
    [`HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103\r\nLink: a\r\n\r\n${SIZED}`, "hello"],
  ] as const)
    for (const size of [1, 2, 3, 7, 40, text.length]) {
      const heard = read(cut(bytesOf(text), size));
      assert.deepEqual(
        [heard.fault, heard.status, heard.body, heard.ends, heard.keeps],
        [undefined, 200, body, 1, true],
      );
    }
  assert.deepEqual(read([bytesOf(CHUNKED)]).pieces, 1, "what comes together is told together");
  assert.deepEqual({ ...read([bytesOf(CHUNKED)]).fields }, { "transfer-encoding": "chunked", "x-a": ["1", "2"] });
  assert.equal(read([bytesOf(SIZED)]).keptMs, 7_000);
});

test("a connection is not used again after an answer that ends with it, asks for its end, or is followed by more", () => {
  const old = read([bytesOf("HTTP/1.0 200 OK\r\n\r\nall"), bytesOf(" of it")], true);
  assert.deepEqual([old.fault, old.body, old.ends, old.keeps], [undefined, "all of it", 1, false]);
  for (const text of [
    SIZED.replace("Keep-Alive: timeout=7", "Connection: close"),
    SIZED.replace("HTTP/1.1", "HTTP/1.0"),
    `${SIZED}HTTP/1.1 200 OK\r\n\r\n`,
    `${CHUNKED}x`,
  ]) {
    const heard = read([bytesOf(text)]);
    assert.deepEqual([heard.over, heard.keeps], [true, false], text);
  }
});

test("what could be framed in two ways is a fault", () => {
  const head = (fields: string): string => `HTTP/1.1 200 OK\r\n${fields}\r\n\r\n`;
  for (const text of [
    head("Content-Length: 5\r\nTransfer-Encoding: chunked") + "0\r\n\r\n",
    head("Content-Length: 5\r\nContent-Length: 5") + "hello",
    ...["+5", "0x5", "5, 5", "", "05", "-1", "1e1"].map((length) => `${head(`Content-Length: ${length}`)}hello`),
    `${head("Transfer-Encoding: chunked").replace("1.1", "1.0")}0\r\n\r\n`,
    head("X-A: b\r\n folded: c"),
    head("X-A : b"),
    head(": b"),
    head("X-A: a\0b"),
    head("X-A: a\rb"),
    "HTTP/1.1 200 OK\nContent-Length: 0\n\n\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX: a\nContent-Length: 0\r\n\r\n",
    "HTTP/2 200 OK\r\n\r\n",
    "HTTP/1.1  200 OK\r\n\r\n",
    "HTTP/1.1 99 OK\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n".repeat(9),
    ...[
      "5\nhello\r\n0\r\n\r\n",
      "5\r\nhello0\r\n\r\n",
      "5\r\nhelloXX0\r\n\r\n",
      "5\r\nhello\rX0\r\n\r\n",
      "\r\n\r\n",
      "g\r\n",
      "-1\r\n",
      "fffffffff\r\n",
      "1;\r\n",
      "1;a=b;c\r\n",
    ].map((body) => head("Transfer-Encoding: chunked") + body),
    `${head("Transfer-Encoding: chunked")}1;${"a".repeat(400)}\r\n`,
    `${head("Transfer-Encoding: chunked")}0\r\nX-T : 1\r\n\r\n`,
    `${head("Transfer-Encoding: chunked")}0\r\n${"X-T: 1\r\n".repeat(3_000)}`,
    `HTTP/1.1 200 OK\r\nX-A: ${"a".repeat(20_000)}`,
    head(Array.from({ length: 129 }, (_, n) => `X-${n}: 1`).join("\r\n")),
  ]) {
    const heard = read([bytesOf(text)]);
    assert.ok(heard.fault !== undefined && !heard.keeps, JSON.stringify(text.slice(0, 100)));
    assert.notEqual(read(cut(bytesOf(text), 3)).fault, undefined, `in pieces: ${JSON.stringify(text.slice(0, 100))}`);
  }
});

test("an answer that ends early is none", () => {
  for (const text of [SIZED.slice(0, -1), CHUNKED.slice(0, -1), CHUNKED.slice(0, -20), "HTTP/1.1 200", ""]) {
    const heard = read([bytesOf(text)], true);
    assert.deepEqual([heard.fault, heard.ends], ["it ended early", 0], text);
  }
});

const token = fc.constantFrom("content-length", "transfer-encoding", "x-a", "connection", "Content-Type", "keep-alive");
const value = fc.oneof(
  fc.constantFrom(
    "5",
    "05",
    "chunked",
    "Chunked",
    "gzip, chunked",
    "close",
    "keep-alive",
    "",
    " 3 ",
    "3\t",
    "timeout=1",
  ),
  fc.string({ unit: fc.constantFrom("a", "b", " ", "\t", "\u00e9", ","), maxLength: 6 }),
);
const lineEnd = fc.oneof(
  { weight: 30, arbitrary: fc.constant("\r\n") },
  fc.constantFrom("\n", "\r", "\r\n ", "\r\n\r\n"),
);
const chunk = fc.tuple(
  fc.oneof({ weight: 10, arbitrary: fc.constant("") }, fc.constantFrom(";a", ";a=b", " ", "\t;", "0")),
  fc.string({ unit: fc.constantFrom("x", "\r", "\n", "0"), minLength: 1, maxLength: 20 }),
  lineEnd,
);
/** Answers of which most are nearly right. */
const answers = fc
  .record({
    version: fc.oneof(
      { weight: 9, arbitrary: fc.constant("HTTP/1.1") },
      fc.constantFrom("HTTP/1.0", "HTTP/1.2", "http/1.1"),
    ),
    status: fc.oneof(
      { weight: 9, arbitrary: fc.constant("200 OK") },
      fc.constantFrom("204 X", "304 ", "404", "100 C", "999 "),
    ),
    fields: fc.array(fc.tuple(token, fc.constantFrom(":", ": ", ":\t", " : "), value, lineEnd), { maxLength: 4 }),
    framing: fc.constantFrom("sized", "chunked", "none"),
    chunks: fc.array(chunk, { maxLength: 4 }),
    body: fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 12 }),
    end: fc.constantFrom("0\r\n\r\n", "0\r\n\r\n", "0\r\nx-t: 1\r\n\r\n", "0;a\r\n\r\n", "0\r\n", "00\r\n\r\n"),
    more: fc.constantFrom("", "", "x"),
    spoil: fc.option(fc.tuple(fc.nat(400), fc.constantFrom("", "\0", "\r", "\n", " ", ":")), { freq: 3 }),
  })
  .map(({ version, status, fields, framing, chunks, body, end, more, spoil }) => {
    const own =
      framing === "sized"
        ? [`content-length: ${body.length}\r\n`]
        : framing === "chunked"
          ? ["transfer-encoding: chunked\r\n"]
          : [];
    const lines = fields.map(([name, colon, text, last]) => `${name}${colon}${text}${last}`);
    const framed = chunks
      .map(([extension, text, last]) => `${text.length.toString(16)}${extension}\r\n${text}${last}`)
      .join("");
    const whole = `${version} ${status}\r\n${[...own, ...lines].join("")}\r\n${framing === "chunked" ? framed + end : body}${more}`;
    return bytesOf(spoil ? whole.slice(0, spoil[0]) + spoil[1] + whole.slice(spoil[0] + 1) : whole);
  });

test("what is read here, llhttp reads in the same way; and every way to cut it reads the same", async () => {
  let accepted = 0;
  await fc.assert(
    fc.asyncProperty(answers, fc.boolean(), fc.integer({ min: 1, max: 9 }), async (bytes, ends, size) => {
      const own = read([bytes], ends);
      const inPieces = read(cut(bytes, size), ends);
      if (own.fault === undefined || inPieces.fault === undefined) {
        const { pieces: _one, ...whole } = own;
        const { pieces: _many, ...cutUp } = inPieces;
        assert.deepEqual(cutUp, whole);
      }
      if (own.fault !== undefined || !own.over) return;
      accepted++;
      // Where a connection asks for its end, and more comes after, llhttp refuses what is not read here.
      const node = await nodeReadsAnswer(bytes, ends);
      if (!node && !own.keeps) return;
      assert.ok(node, `llhttp refuses ${JSON.stringify(bytes.toString("latin1"))}`);
      assert.deepEqual([node.status, node.body], [own.status, own.body], JSON.stringify(bytes.toString("latin1")));
      const flat = Object.entries(own.fields).flatMap(([name, said]) => [said].flat().map((text) => [name, text]));
      assert.deepEqual(node.headers.toSorted(byName), flat.toSorted(byName));
    }),
    {
      seed: 31,
      ...(fuzzMs > 0
        ? { numRuns: 1e9, interruptAfterTimeLimit: fuzzMs, markInterruptAsFailure: false }
        : { numRuns: 1_500 }),
    },
  );
  assert.ok(accepted > 300, `${accepted} answers were read`);
});

const byName = (a: readonly (string | undefined)[], b: readonly (string | undefined)[]): number =>
  JSON.stringify(a) < JSON.stringify(b) ? -1 : 1;
