/** A server outside that sends the credential back in every way, for each place where one can stand. */
import assert from "node:assert/strict";
import { createHmac, randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { after, before, test } from "node:test";
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from "node:zlib";
import { fetch, ProxyAgent, WebSocket } from "undici";
import { OutsideAuthority, startOutside, startWeb, type Outside, type WebPlace } from "../../fleet/web-place.ts";
import { answerWebSockets } from "../../fleet/web-socket-server.ts";

const secret = `canary/${randomBytes(12).toString("hex")}+&`;
const awsSecret = randomBytes(30).toString("base64");
const aws = `AKIACANARY0123456789:${awsSecret}`;
const authority = new OutsideAuthority();
let outside: Outside;
let place: WebPlace;
let dispatcher: ProxyAgent;
let to: string;
let last: { readonly url: string; readonly headers: IncomingMessage["headers"]; readonly body: string } | undefined;

before(async () => {
  outside = await startOutside((request, response) => void answer(request, response), "api.test", authority);
  to = `https://api.test:${outside.port}`;
  answerWebSockets(outside.server, (text, say) => {
    if (text === "split") for (const piece of secret.match(/.{1,5}/g) ?? []) say(piece);
    else if (text === "halves") [secret.slice(0, 20), secret.slice(20)].forEach(say);
    else say(text);
  });
  const bind = (path: string, surface: unknown): unknown => ({ to, paths: [`${path}/**`], in: surface });
  place = await startWeb({
    reach: [{ to, address: "127.0.0.1" }],
    ca: authority.pem,
    bindings: {
      key: [
        bind("/header", { header: "x-api-key" }),
        bind("/basic", "basic"),
        bind("/query", { query: "key" }),
        bind("/path", "path"),
        bind("/json", { json: "login.token" }),
        bind("/form", { form: "client_secret" }),
        bind("/socket", "websocket"),
        bind("/twice", { header: "x-api-key" }),
        bind("/twice/a", { header: "x-api-key" }),
      ],
      cloud: [bind("/aws", { aws: { region: "eu-central-1", service: "sqs" } })],
    } as never,
    secrets: { key: secret, cloud: aws },
  });
  dispatcher = new ProxyAgent({
    uri: `http://127.0.0.1:${place.proxyPort}`,
    requestTls: { ca: await place.authority() },
  });
});

after(async () => {
  await dispatcher.destroy();
  await place.close();
  await outside.close();
});

const packed: Readonly<Record<string, (text: string) => Buffer>> = {
  gzip: gzipSync,
  br: brotliCompressSync,
  zstd: zstdCompressSync,
  deflate: deflateSync,
};

/** What a body can be made of a secret. */
const forms: Readonly<Record<string, (text: string) => string>> = {
  plain: (text) => text,
  base64: (text) => Buffer.from(text).toString("base64"),
  "base64 behind a byte": (text) => Buffer.from(`x${text}`).toString("base64"),
  base64url: (text) => Buffer.from(text).toString("base64url"),
  hex: (text) => Buffer.from(text).toString("hex"),
  "percent-encoded": encodeURIComponent,
  json: (text) => JSON.stringify({ a: text }),
  reversed: (text) => [...text].reverse().join(""),
};

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  let body = "";
  for await (const piece of request as AsyncIterable<Buffer>) body += piece.toString();
  const url = request.url ?? "";
  last = { url, headers: request.headers, body };
  const query = new URL(url, "http://x").searchParams;
  const asked = query.get("coding");
  const coding = asked === "secret" ? secret : asked;
  const form = forms[query.get("form") ?? "plain"] ?? String;
  const text = `<<${form(secret)}>> ${form(awsSecret)} and ${JSON.stringify([last, secret])}`;
  if (query.has("range")) {
    const [, from = 0, until = 0] = (/bytes=(\d+)-(\d+)/.exec(String(request.headers.range)) ?? []).map(Number);
    const whole = request.headers.range === undefined;
    return void response.writeHead(whole ? 200 : 206).end(whole ? secret : secret.slice(from, until + 1));
  }
  response.writeHead(Number(query.get("status") ?? 200), {
    "x-echo": secret,
    location: `https://elsewhere.test/?k=${encodeURIComponent(secret)}`,
    "set-cookie": [`a=${Buffer.from(secret).toString("base64")}`, "b=fine"],
    [`x-${Buffer.from(secret).toString("hex")}`]: "in a name",
    ...(coding === null ? {} : { "content-encoding": coding }),
    trailer: "x-late",
  });
  if (coding !== null) return void response.end((packed[coding] ?? Buffer.from)(text));
  // Byte by byte: no chunk holds it.
  for (const byte of Buffer.from(text)) response.write(Buffer.from([byte]));
  response.addTrailers({ "x-late": secret });
  response.end();
}

interface Sent {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
}

async function ask(path: string, sent: Sent = {}): Promise<{ readonly status: number; readonly all: string }> {
  const answered = await fetch(`${to}${path}`, { ...sent, dispatcher, redirect: "manual" });
  return { status: answered.status, all: `${JSON.stringify([...answered.headers])}\n${await answered.text()}` };
}

function assertClean(all: string, what: string): void {
  for (const value of [secret, awsSecret]) {
    for (const [name, form] of Object.entries(forms)) {
      // Cut to what no neighbour changes.
      const piece = form(value)
        .replace(/^\{"a":|\}$/g, "")
        .slice(3, -4);
      assert.ok(
        !all.includes(piece),
        `${what}: ${name}: ${all.slice(Math.max(0, all.indexOf(piece) - 20)).slice(0, 200)}`,
      );
    }
  }
}

const basic = (text: string): string => `Basic ${Buffer.from(text).toString("base64")}`;
const ph = "cordon_ph_key";
/** How an agent asks on each surface, and how the server sees that it got the credential. */
const surfaces: Readonly<Record<string, readonly [path: string, sent: Sent, got: () => boolean]>> = {
  header: ["/header/a", { headers: { "x-api-key": ph } }, () => last?.headers["x-api-key"] === secret],
  basic: [
    "/basic/a",
    { headers: { authorization: basic(`me:${ph}`) } },
    () => last?.headers.authorization === basic(`me:${secret}`),
  ],
  query: [
    "/query/a?a=1&key=cordon_ph_key&b=2",
    {},
    () => new URL(last?.url ?? "", "http://x").searchParams.get("key") === secret,
  ],
  path: ["/path/bot-cordon_ph_key/send", {}, () => decodeURIComponent(last?.url ?? "").includes(`/bot-${secret}/send`)],
  json: [
    "/json/a",
    {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: `{ "login": { "token": "${ph}", "ü": 1.0 } }`,
    },
    () => last?.body === `{ "login": { "token": ${JSON.stringify(secret)}, "ü": 1.0 } }`,
  ],
  form: [
    "/form/a",
    {
      method: "POST",
      headers: { "content-type": "application/x-www-form-urlencoded" },
      body: `a=1&client_secret=${ph}`,
    },
    () => new URLSearchParams(last?.body).get("client_secret") === secret,
  ],
};

for (const [name, [path, sent, got]] of Object.entries(surfaces)) {
  test(`${name}: the credential goes out, and comes back in no form`, async () => {
    const { status, all } = await ask(path, sent);
    assert.equal(status, 200, all.slice(0, 300));
    assert.ok(got(), JSON.stringify(last));
    assertClean(all, name);
    assert.match(all, /removed by cordon/);
    const used = place.records.filter(({ kind }) => kind === "web.request").at(-1);
    assert.equal(used?.detail["credential"], "key");
    assert.ok(!JSON.stringify(place.records).includes(secret) && !JSON.stringify(place.events).includes(secret));
  });
}

test("aws: signed anew, with a key that the agent has never seen", async () => {
  const scope = "20300101/eu-central-1/sqs/aws4_request";
  const authorization = `AWS4-HMAC-SHA256 Credential=cordon_ph_cloud/${scope}, SignedHeaders=host;x-amz-date, Signature=${"0".repeat(64)}`;
  const body = "Action=SendMessage";
  const { status, all } = await ask("/aws/q?b=2&a=1", {
    method: "POST",
    headers: { authorization, "x-amz-date": "20300101T000000Z" },
    body,
  });
  assert.equal(status, 200, all.slice(0, 300));
  const [, keyId, day, headers, signature] =
    /Credential=([A-Z0-9]+)\/(\d{8})\/eu-central-1\/sqs\/aws4_request, SignedHeaders=([a-z;-]+), Signature=([0-9a-f]{64})/.exec(
      String(last?.headers.authorization),
    ) ?? [];
  assert.equal(keyId, "AKIACANARY0123456789");
  // As the server checks it, from the request that it got (RFC-like steps of the AWS documentation).
  const hmac = (key: string | Buffer, text: string): Buffer => createHmac("sha256", key).update(text).digest();
  const { createHash } = await import("node:crypto");
  const sha = (text: string): string => createHash("sha256").update(text).digest("hex");
  const names = (headers ?? "").split(";");
  const canonical = [
    "POST",
    "/aws/q",
    "a=1&b=2",
    ...names.map((each) => `${each}:${String(last?.headers[each])}`),
    "",
    headers,
    sha(body),
  ].join("\n");
  const stamp = String(last?.headers["x-amz-date"]);
  const text = ["AWS4-HMAC-SHA256", stamp, `${day}/eu-central-1/sqs/aws4_request`, sha(canonical)].join("\n");
  const key = ["eu-central-1", "sqs", "aws4_request"].reduce(
    (sum: Buffer, part) => hmac(sum, part),
    hmac(`AWS4${awsSecret}`, day ?? ""),
  );
  assert.equal(signature, hmac(key, text).toString("hex"));
  assertClean(all, "aws");
  const elsewhere = await ask("/aws/q", {
    method: "POST",
    headers: { authorization: authorization.replace("sqs", "iam"), "x-amz-date": "20300101T000000Z" },
    body,
  });
  assert.equal(elsewhere.status, 403, "a service that it is not bound to");
});

test("no coding, form or status brings it back", async () => {
  for (const coding of Object.keys(packed)) {
    const { status, all } = await ask(`/header/a?coding=${coding}`, { headers: { "x-api-key": ph } });
    assert.equal(status, 200);
    assert.match(all, /removed by cordon/);
    assertClean(all, coding);
  }
  for (const form of Object.keys(forms))
    assertClean((await ask(`/header/a?form=${encodeURIComponent(form)}`, { headers: { "x-api-key": ph } })).all, form);
  for (const status of [302, 400, 401, 404, 500, 503]) {
    const answered = await ask(`/header/a?status=${status}`, { headers: { "x-api-key": ph } });
    assert.equal(answered.status, status);
    assertClean(answered.all, String(status));
  }
  const unknown = await ask("/header/a?coding=rot13", { headers: { "x-api-key": ph } });
  assert.equal(unknown.status, 424);
  const named = await ask("/header/a?coding=secret", { headers: { "x-api-key": ph } });
  assert.equal(named.status, 424);
  assertClean(named.all, "the name of a coding");
});

test("a server that has kept it says it later in vain, whole or in ranges", async () => {
  assertClean((await ask("/elsewhere")).all, "later");
  let pieces = "";
  for (let from = 0; from < secret.length; from += 5)
    pieces +=
      (await ask("/elsewhere?range", { headers: { range: `bytes=${from}-${from + 4}` } })).all.split("\n")[1] ?? "";
  assertClean(pieces, "ranges");
});

const refused: Readonly<Record<string, readonly [path: string, sent: Sent]>> = {
  "a placeholder in another header": ["/header/a", { headers: { "x-other": ph } }],
  "a placeholder with text around it": ["/header/a", { headers: { "x-api-key": `a, ${ph}` } }],
  "a placeholder in the name of a header": ["/header/a", { headers: { [`x-${ph}`.replaceAll("_", "_")]: "a" } }],
  "a placeholder in another field of the query": ["/query/a?other=cordon_ph_key", {}],
  "a placeholder on the path of another surface": ["/header/cordon_ph_key", {}],
  "a placeholder in another field of a form": [
    "/form/a",
    { method: "POST", headers: { "content-type": "application/x-www-form-urlencoded" }, body: `other=${ph}` },
  ],
  "a placeholder in another field of JSON": [
    "/json/a",
    { method: "POST", headers: { "content-type": "application/json" }, body: `{"token":"${ph}"}` },
  ],
  "a placeholder twice in JSON": [
    "/json/a",
    {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: `{"login":{"token":"${ph}"},"b":"${ph}"}`,
    },
  ],
  "a placeholder beside one that is escaped in its field": [
    "/json/a",
    {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: `{"comment":"${ph}","login":{"token":"\\u0063${ph.slice(1)}"}}`,
    },
  ],
  "a placeholder under a doubled key": [
    "/json/a",
    { method: "POST", headers: { "content-type": "application/json" }, body: `{"login":{"token":"${ph}"},"login":{}}` },
  ],
  "a placeholder in a body without a place for one": [
    "/header/a",
    { method: "POST", headers: { "content-type": "text/plain" }, body: `x ${ph}` },
  ],
  "a placeholder as user and password": ["/basic/a", { headers: { authorization: basic(`${ph}:${ph}`) } }],
  "two bindings that both fit": ["/twice/a/b", { headers: { "x-api-key": ph } }],
  "a placeholder of a name that nobody has": ["/header/a", { headers: { "x-api-key": "cordon_ph_nobody" } }],
  "a placeholder at a place that is not bound": ["/elsewhere", { headers: { "x-api-key": ph } }],
};

for (const [name, [path, sent]] of Object.entries(refused)) {
  test(`${name} is refused, and nothing arrives`, async () => {
    last = undefined;
    const { status, all } = await ask(path, sent).catch((error: unknown) => ({ status: 403, all: String(error) }));
    assert.equal(status, 403, all.slice(0, 300));
    assert.equal(last, undefined);
    assertClean(all, name);
  });
}

function talk(first: string, messages: number): Promise<{ readonly got: readonly string[]; readonly code: number }> {
  const socket = new WebSocket(`${to.replace("https", "wss")}/socket/a`, { dispatcher });
  const got: string[] = [];
  return new Promise((resolve) => {
    socket.addEventListener("open", () => socket.send(first));
    socket.addEventListener("message", ({ data }) => {
      got.push(String(data));
      if (got.length === messages) socket.close();
    });
    socket.addEventListener("close", ({ code }) => resolve({ got, code }));
    socket.addEventListener("error", () => {});
  });
}

test("websocket: it goes out in a message, comes back in none, and split over messages ends the connection", async () => {
  const echoed = await talk(`{"auth":"${ph}"}`, 1);
  assert.deepEqual(echoed.got, ['{"auth":"[credential removed by cordon]"}']);
  assert.equal(place.records.filter(({ kind }) => kind === "web.injected").at(-1)?.detail["credential"], "key");
  const split = await talk("split", 99);
  assert.ok(split.got.join("").length < 8, `came through: ${split.got.join("|")}`);
  const halves = await talk("halves", 99);
  assertClean(halves.got.join(""), "halves");
  assert.ok(!halves.got.join("").includes(secret.slice(20)), halves.got.join("|"));
  assert.ok(!halves.got.join("").includes(secret.slice(0, 12)), halves.got.join("|"));
});
