import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { limits } from "../../protocol/limits.ts";
import { AnswerReader } from "./door-answer.ts";

interface Read {
  readonly status: number;
  readonly type: string | undefined;
  readonly text: string;
  readonly done: boolean;
  readonly fault: string | undefined;
}

/** The answer in pieces; `ends` when the door closes after it. */
function read(pieces: readonly Buffer[], ends = false): Read {
  let [status, type, fault] = [0, undefined as string | undefined, undefined as string | undefined];
  const parts: Buffer[] = [];
  const reader = new AnswerReader({
    head: (got, fields) => ([status, type] = [got, fields.get("content-type")]),
    body: (bytes) => parts.push(Buffer.from(bytes)),
  });
  for (const piece of pieces) fault ??= reader.push(piece);
  if (ends) fault ??= reader.end();
  return { status, type, text: Buffer.concat(parts).toString("utf8"), done: reader.done, fault };
}
const whole = (text: string, ends?: boolean): Read => read([Buffer.from(text)], ends);
const head = (...lines: readonly string[]): string => [...lines, "", ""].join("\r\n");

const sized = head("HTTP/1.1 200 OK", "Content-Type: application/json", "content-length: 4") + '"ü"';
const chunked =
  head("HTTP/1.1 200 OK", "content-type: text/event-stream", "transfer-encoding: chunked") +
  "5\r\ndata:\r\n4;x=y\r\n ü\n\r\n0\r\nTrailer: x\r\n\r\n";
const empty = head("HTTP/1.1 204 ", "connection: close");
const open = head("HTTP/1.1 500 Oh", "content-type: text/plain") + "until the end";

describe("an answer of the door", () => {
  it("is read alike in whatever pieces it comes", () => {
    const expected = {
      [sized]: { status: 200, type: "application/json", text: '"ü"' },
      [chunked]: { status: 200, type: "text/event-stream", text: "data: ü\n" },
      [empty]: { status: 204, type: undefined, text: "" },
    };
    for (const [text, answer] of Object.entries(expected)) {
      const bytes = Buffer.from(text);
      const right = { ...answer, done: true, fault: undefined };
      assert.deepEqual(whole(text), right);
      assert.deepEqual(read([...bytes].map((byte) => Buffer.of(byte))), right);
      for (let at = 1; at < bytes.length; at++) {
        assert.deepEqual(read([bytes.subarray(0, at), bytes.subarray(at)]), right);
        // Half of an answer is none.
        assert.deepEqual(read([bytes.subarray(0, at)], true).fault, "the answer broke off");
      }
    }
  });

  it("ends with its connection where it has no length", () => {
    assert.deepEqual([whole(open).done, whole(open).fault], [false, undefined]);
    assert.deepEqual(whole(open, true), {
      status: 500,
      type: "text/plain",
      text: "until the end",
      done: true,
      fault: undefined,
    });
  });

  it("is nothing that the door does not send", () => {
    const wrong = {
      "another protocol": head("HTTP/1.0 200 OK", "content-length: 0"),
      "no status": head("HTTP/1.1 OK"),
      "an interim answer": head("HTTP/1.1 100 Continue"),
      "a field without a name": head("HTTP/1.1 200 OK", ": x"),
      "a length that is no number": head("HTTP/1.1 200 OK", "content-length: 1x"),
      "a negative length": head("HTTP/1.1 200 OK", "content-length: -1"),
      "two framings": head("HTTP/1.1 200 OK", "content-length: 1", "transfer-encoding: chunked"),
      "another coding": head("HTTP/1.1 200 OK", "transfer-encoding: gzip, chunked"),
      "a chunk without a size": head("HTTP/1.1 200 OK", "transfer-encoding: chunked") + "x\r\n",
      "a chunk of a size beyond numbers": head("HTTP/1.1 200 OK", "transfer-encoding: chunked") + "fffffffff\r\n",
      "a chunk that is longer than it says": head("HTTP/1.1 200 OK", "transfer-encoding: chunked") + "1\r\nxyz",
    };
    for (const [what, text] of Object.entries(wrong)) {
      assert.match(whole(text).fault ?? "none", /^(the answer|a chunk|a field)/, what);
      assert.equal(whole(text).done, false, what);
    }
  });

  it("is bounded before it says how long it is", () => {
    const long = "x".repeat(limits.door.headerBytesMax + 1);
    for (const text of [
      `HTTP/1.1 200 OK\r\na: ${long}`,
      head("HTTP/1.1 200 OK", "transfer-encoding: chunked") + `1;${long}`,
    ])
      assert.match(whole(text).fault ?? "none", /too long/);
  });

  it("has nothing after it", () => {
    assert.equal(whole(`${sized}HTTP/1.1 200 OK\r\n`).text, '"ü"');
    assert.equal(whole(`${chunked}more`).text, "data: ü\n");
  });
});
