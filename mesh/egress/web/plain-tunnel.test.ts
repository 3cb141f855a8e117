import assert from "node:assert/strict";
import { once } from "node:events";
import { duplexPair, type Duplex } from "node:stream";
import { test } from "node:test";
import { systemClock } from "../../../lib/clock.ts";
import { limits } from "../../../protocol/limits.ts";
import { Deadlines } from "../../http/deadlines.ts";
import { OWN, type Front } from "./front.ts";
import { PlainTunnel } from "./plain-tunnel.ts";

/** Waits as long as it takes on a busy machine. */
async function eventually<T>(what: string, look: () => T | undefined): Promise<T> {
  for (let i = 0; i < 3_000; i++) {
    const found = look();
    if (found !== undefined) return found;
    await systemClock.sleep(10);
  }
  throw new Error(`${what} did not come`);
}

function begin(asked: (front: Front) => void) {
  const [client, socket] = duplexPair();
  let told = "";
  client.on("data", (bytes: Buffer) => (told += bytes.toString("latin1")));
  const handed: string[] = [];
  const handOver = (from: Duplex): void =>
    void from.on("data", (bytes: Buffer) => handed.push(bytes.toString("latin1")));
  const deadlines = new Deadlines(systemClock);
  const tunnel = new PlainTunnel(socket, deadlines, { asked, handOver });
  const until = (holds: (text: string) => boolean): Promise<unknown> =>
    eventually("what is told", () => holds(told) || undefined).catch(() => assert.fail(told));
  return {
    client,
    socket,
    tunnel,
    told: () => told,
    handed,
    until,
    end: () => (client.destroy(), socket.destroy(), deadlines.close()),
  };
}

const get = (path: string, ...more: readonly string[]): string =>
  [`GET ${path} HTTP/1.1`, "Host: a.test", ...more, "", ""].join("\r\n");

test("a request and its body come as they were sent; the answer goes in one piece where its length is known", async () => {
  const fronts: Front[] = [];
  const lane = begin((front) => {
    fronts.push(front);
    const fields = [
      ["x-a", "1"],
      ["x-a", "2"],
    ] as const;
    front.answer(200, { fields });
    const piece = Buffer.from("held");
    front.write(piece, OWN);
    // What was read goes into the same memory again.
    piece.fill("?");
    front.end(Buffer.from(" whole"));
  });
  lane.client.write(`POST /x?y HTTP/1.1\r\nHost: a.test\r\nX-B: c\r\nContent-Length: 5\r\n\r\nhello`);
  await lane.until((text) => text.endsWith("whole"));
  const [front] = fronts;
  assert.deepEqual(front?.head, {
    ...{ method: "POST", target: "/x?y", authorities: ["a.test"], upgrade: false },
    fields: [
      ["x-b", "c"],
      ["content-length", "5"],
    ],
    said: {},
  });
  assert.equal(front?.whole?.toString(), "hello");
  assert.equal(
    lane.told(),
    "HTTP/1.1 200 OK\r\nx-a: 1\r\nx-a: 2\r\nconnection: keep-alive\r\ncontent-length: 10\r\n\r\nheld whole",
  );
  lane.end();
});

test("an answer of unknown length that comes later goes in chunks; one of known length as it is", async () => {
  for (const [fields, expected] of [
    [[], "transfer-encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n4\r\nlast\r\n0\r\n\r\n"],
    [[["content-length", "10"]], "content-length: 10\r\nconnection: keep-alive\r\n\r\nonetwolast"],
  ] as const) {
    const fronts: Front[] = [];
    const lane = begin((front) => void fronts.push(front));
    lane.client.write(get("/"));
    await eventually("the request", () => fronts[0]);
    fronts[0]?.answer(200, { fields });
    fronts[0]?.write(Buffer.from("one"), OWN);
    await lane.until((text) => text.includes("one"));
    fronts[0]?.write(Buffer.from("two"), OWN);
    fronts[0]?.end(Buffer.from("last"));
    await lane.until((text) => text.includes("last"));
    assert.ok(lane.told().endsWith(expected), lane.told());
    lane.end();
  }
});

test("what a connection says again in the same words is one; a word that changes is seen", async () => {
  const heads: Front["head"][] = [];
  const lane = begin((front) => {
    heads.push(front.head);
    front.answer(200, { fields: [] });
    front.end(Buffer.from(front.head.target));
  });
  for (const [target, more] of [
    ["/a", "X-B: c"],
    ["/b", "X-B: c"],
    ["/c", "X-B: d"],
    ["/d", "X-B: c"],
  ] as const) {
    lane.client.write(get(target, more));
    await lane.until((text) => text.endsWith(target));
  }
  assert.deepEqual(
    heads.map(({ target, fields }) => [target, ...fields.flat()]),
    [
      ["/a", "x-b", "c"],
      ["/b", "x-b", "c"],
      ["/c", "x-b", "d"],
      ["/d", "x-b", "c"],
    ],
  );
  const [first, second, third] = heads;
  assert.ok(first?.said && first.said === second?.said && first.fields === second.fields);
  assert.notEqual(second.said, third?.said);
  lane.end();
});

test("a head goes out although its body waits", async () => {
  const lane = begin((front) => front.answer(200, { fields: [] }));
  lane.client.write(get("/"));
  await lane.until((text) => text.endsWith("transfer-encoding: chunked\r\n\r\n"));
  lane.end();
});

test("204 has no length and no body", async () => {
  const lane = begin((front) => {
    front.answer(204, { fields: [["content-length", "5"]] });
    front.end();
  });
  lane.client.write(get("/"));
  await lane.until((text) => text.endsWith("\r\n\r\n"));
  assert.equal(lane.told(), "HTTP/1.1 204 No Content\r\nconnection: keep-alive\r\n\r\n");
  lane.end();
});

test("requests that come together are answered one after the other, and one that says `close` is the last", async () => {
  const asked: string[] = [];
  const lane = begin((front) => {
    asked.push(front.head.target);
    setImmediate(() => {
      front.answer(200, { fields: [] });
      front.end(Buffer.from(front.head.target));
    });
  });
  lane.client.write(get("/1") + get("/2") + get("/3", "Connection: close") + get("/4"));
  await once(lane.client, "end");
  assert.deepEqual(asked, ["/1", "/2", "/3"]);
  assert.match(lane.told(), /\/1HTTP[^]*\/2HTTP[^]*connection: close[^]*\/3$/);
  lane.end();
});

test("a request that comes while another is answered waits for that", async () => {
  const fronts: Front[] = [];
  const lane = begin((front) => void fronts.push(front));
  lane.client.write(get("/1"));
  await eventually("the request", () => fronts[0]);
  lane.client.write(get("/2"));
  await systemClock.sleep(50);
  assert.equal(fronts.length, 1);
  fronts[0]?.answer(200, { fields: [] });
  fronts[0]?.end(Buffer.from("first"));
  await eventually("the second", () => fronts[1]);
  fronts[1]?.answer(200, { fields: [] });
  fronts[1]?.end(Buffer.from("second"));
  await lane.until((text) => /first[^]*second$/.test(text));
  lane.end();
});

test("whatever is not whole and in its plain form is for another reader, from its first byte on", async () => {
  for (const bytes of [
    get("/").slice(0, -3),
    get("/").replace("GET", "PUT"),
    get("/", "Transfer-Encoding: chunked"),
    get("/", "Content-Length: 5"),
    get("/", "Expect: 100-continue", "Content-Length: 0"),
    get("/", "Upgrade: websocket", "Connection: upgrade"),
    get("/", "X-A: b", "X-A: c"),
    get("/").replace("\r\nHost", " \nHost"),
    get("http://a.test/"),
  ]) {
    const lane = begin((front) => {
      front.answer(200, { fields: [] });
      front.end();
    });
    // Also when requests in the plain form stood before it.
    lane.client.write(get("/first"));
    await lane.until((text) => text.includes("200 OK"));
    lane.client.write(bytes);
    await eventually("all bytes", () => lane.handed.join("") === bytes || undefined).catch(() =>
      assert.fail(`${JSON.stringify(bytes)} came as ${JSON.stringify(lane.handed)}`),
    );
    lane.end();
  }
});

test("who does not read is not read either", async () => {
  let asked = 0;
  const lane = begin((front) => {
    asked++;
    front.answer(200, { fields: [] });
    front.end(Buffer.alloc(100_000));
  });
  lane.client.pause();
  const request = get("/", `X-Filler: ${"f".repeat(2_000)}`);
  for (let sent = 0; sent < 4 * limits.http.heldBytesMax; sent += request.length) lane.client.write(request);
  await eventually("it to stop", () => lane.socket.isPaused() || undefined);
  assert.ok(asked <= 2, `${asked} were answered`);
  lane.client.resume();
  const all = Math.ceil((4 * limits.http.heldBytesMax) / request.length);
  await eventually("all answers", () => asked === all || undefined).catch(() => assert.fail(`${asked} of ${all}`));
  lane.end();
});

test("who has gone is told of to whoever still answers", async () => {
  const fronts: Front[] = [];
  const lane = begin((front) => void fronts.push(front));
  lane.client.write(get("/"));
  await eventually("the request", () => fronts[0]);
  const gone = new Promise<void>((resolve) => fronts[0]?.onClose(resolve));
  lane.client.destroy();
  await gone;
  assert.equal(fronts[0]?.started(), true, "nothing more can be told");
  let late = false;
  fronts[0]?.onClose(() => (late = true));
  assert.equal(late, true);
  lane.end();
});
