/** Requests and answers as an attacker spells them: sound ones by the grammar, then changed somewhere. The same for a seed. */
import type { Json } from "../../../lib/json.ts";

/** From 0 up to, and not, `below`. */
export type Dice = (below: number) => number;

/** mulberry32. */
export function diceOf(seed: number): Dice {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

export const oneOf = <T>(dice: Dice, all: readonly T[]): T => all[dice(all.length)] as T;

const deep = (levels: number, open: string, close: string): string => open.repeat(levels) + "0" + close.repeat(levels);

/** Texts of JSON that stand where a value is expected. */
const values: readonly (() => string)[] = [
  ...["null", "true", "0", "-0", "-1", "1e308", "1e999", "-1e999", "0.1", "9007199254740993", "2147483648", "1e-400"],
  ...[
    '""',
    '"\\ud800"',
    '"\\udfff\\ud800"',
    '"\\u0000"',
    '"\u2028\u2029"',
    '"\\r\\n\\r\\ndata: x\\n\\n"',
    '"\u202e\u200b"',
  ],
  ...['"__proto__"', '"constructor"', '"[DONE]"', '"NaN"', "[]", "{}", "[[]]", "[null]", "[{}]", '{"__proto__":{}}'],
  ...['{"a":1,"a":2}', '{"constructor":{"prototype":{}}}', '{"length":-1}', '{"toString":null,"valueOf":null}'],
  ...['{"toJSON":1}', '{"then":1}', "[1e999]", '"data:image/png;base64,AAAA"', '"\u{1f9d1}\u200d\u{1f680}"'],
].map((text) => () => text);

const large: readonly (() => string)[] = [
  () => `"${"x".repeat(70_000)}"`,
  () => `"${"\\u0001".repeat(20_000)}"`,
  () => `"${"\u00e9".repeat(30_000)}"`,
  () => deep(30, "[", "]"),
  () => deep(33, '{"a":', "}"),
  () => deep(6_000, "[", "]"),
  () => deep(6_000, '{"a":', "}"),
  () => `[${"0,".repeat(20_000)}0]`,
  () => `{${Array.from({ length: 4_000 }, (_, n) => `"k${n}":${n}`).join(",")}}`,
];

const value = (dice: Dice): string => oneOf(dice, dice(12) === 0 ? large : values)();

/** JSON in which about `changes` of its values, names or members are others. */
export function spelled(dice: Dice, sound: Json, changes: number): string {
  let left = changes;
  const count = (each: Json): number =>
    typeof each === "object" && each !== null
      ? Object.values(each).reduce<number>((n, child) => n + count(child), 1)
      : 1;
  const nodes = count(sound);
  const write = (each: Json): string => {
    if (left > 0 && dice(Math.max(2, Math.floor(nodes / changes))) === 0) {
      left--;
      return value(dice);
    }
    if (Array.isArray(each)) {
      const items = each.map((item) => write(item));
      if (left > 0 && dice(8) === 0)
        items.push(
          ...Array.from(
            { length: oneOf(dice, [1, 3, (items[0]?.length ?? 0) < 500 ? 300 : 2]) },
            () => items[0] ?? value(dice),
          ),
        );
      return `[${items.join(",")}]`;
    }
    if (typeof each !== "object" || each === null) return JSON.stringify(each);
    const members = Object.entries(each).map(([name, child]) => `${JSON.stringify(name)}:${write(child)}`);
    if (left > 0 && dice(6) === 0)
      members.push(
        `${JSON.stringify(oneOf(dice, [...Object.keys(each), "__proto__", "toString", "x", ""]))}:${value(dice)}`,
      );
    if (left > 0 && dice(10) === 0) members.splice(dice(members.length), 1);
    return `{${members.join(",")}}`;
  };
  return write(sound);
}

/** Bytes of which some are others, doubled or gone. */
export function garbled(dice: Dice, bytes: Buffer): Buffer {
  const kind = dice(6);
  if (kind > 2 || bytes.length === 0) return bytes;
  const at = dice(bytes.length);
  if (kind === 0) return bytes.subarray(0, at);
  const out = Buffer.from(bytes);
  if (kind === 1) out[at] = oneOf(dice, [0, 0x0a, 0x0d, 0x22, 0x5c, 0x7f, 0x80, 0xc3, 0xff, dice(256)]);
  return kind === 1 ? out : Buffer.concat([out.subarray(0, at), out.subarray(Math.max(0, at - dice(40)))]);
}

const headFields: readonly string[] = [
  ...[
    "x-a: \x01",
    "x-a: \u00e9",
    "X A: b",
    ": b",
    "x-a:",
    "cookie: a=b",
    "host: other",
    "host: api.test, b",
    "te: trailers",
  ],
  ...[
    "content-length: 0",
    "content-length: 5, 5",
    "content-length: 99999999",
    "content-length: -1",
    "content-length: 1e3",
  ],
  ...["transfer-encoding: chunked", "transfer-encoding: gzip, chunked", "transfer-encoding: identity", "trailer: x-a"],
  ...["connection: close", "connection: keep-alive, x-a", "connection: upgrade", "upgrade: websocket", "upgrade: h2c"],
  ...["content-encoding: gzip", "content-encoding: br", "content-encoding: identity, zstd", "content-type: text/html"],
  ...["content-type: multipart/form-data; boundary=x", "content-type: \u0080", "expect: 100-continue", "expect: x"],
  ...["accept: text/event-stream", "mcp-session-id: x", "mcp-protocol-version: 1", "last-event-id: 1e9"],
  ...[
    "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==",
    "sec-websocket-version: 13",
    "retry-after: 1e99",
    "retry-after: -1",
  ],
  ...[
    "date: x",
    "location: http://[",
    "set-cookie: a=\x00",
    "x-request-id: __proto__",
    "__proto__: x",
    "http2-settings: x",
  ],
  `x-long: ${"a".repeat(9_000)}`,
];

export const extraFields = (dice: Dice): readonly string[] =>
  Array.from({ length: Math.max(0, dice(7) - 3) }, () => oneOf(dice, headFields));

/** A body behind its head: by length, in chunks, or by what neither of them says. */
export function framed(dice: Dice, head: readonly string[], body: Buffer): Buffer {
  const lines = [...head, ...extraFields(dice)];
  const kind = dice(10);
  if (kind < 6) lines.push(`content-length: ${body.length}`);
  else if (kind < 8) lines.push("transfer-encoding: chunked");
  else if (kind === 8) lines.push(`content-length: ${Math.max(0, body.length + dice(40) - 20)}`);
  const top = Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1");
  if (kind < 6 || kind > 7) return Buffer.concat([top, body]);
  const pieces: Buffer[] = [top];
  for (let at = 0; at < body.length;) {
    const size = 1 + dice(Math.min(body.length - at, oneOf(dice, [3, 200, 70_000])));
    const end = oneOf(dice, ["\r\n", "\r\n", "\r\n", "\r\n", ";a=b\r\n", "\n", ` \r\n`]);
    pieces.push(Buffer.from(`${size.toString(16)}${end}`), body.subarray(at, at + size), Buffer.from("\r\n"));
    at += size;
  }
  pieces.push(
    Buffer.from(
      oneOf(dice, [
        "0\r\n\r\n",
        "0\r\n\r\n",
        "0\r\nx-t: 1\r\n\r\n",
        "0\r\ncontent-length: 9\r\n\r\n",
        "0\r\n",
        "-1\r\n",
        "",
      ]),
    ),
  );
  return Buffer.concat(pieces);
}
