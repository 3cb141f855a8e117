/** Bytes that are no request, requests that could be read in two ways, and bodies that could be. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { attackerPrelude, eventually, printed, startMesh, type MeshFixture } from "../../fleet/running-mesh.ts";

const attacker = `
import { ask, raw, tell } from "./prelude.mjs";
const inner = "GET /v1/self HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n";
const post = (headers, body) => "POST /v1/tools/files.list HTTP/1.1\\r\\nHost: x\\r\\n" + headers + "\\r\\n\\r\\n" + body;
const smuggled = {
  "length and chunks": post("Content-Length: 5\\r\\nTransfer-Encoding: chunked", "0\\r\\n\\r\\n" + inner),
  "chunks and length": post("Transfer-Encoding: chunked\\r\\nContent-Length: 5", "0\\r\\n\\r\\n" + inner),
  "two lengths": post("Content-Length: 2\\r\\nContent-Length: 50", "{}" + inner),
  "signed length": post("Content-Length: +2", "{}" + inner),
  "hex length": post("Content-Length: 0x2", "{}" + inner),
  "list of lengths": post("Content-Length: 2, 2", "{}" + inner),
  "unknown coding": post("Transfer-Encoding: xchunked", "0\\r\\n\\r\\n" + inner),
  "coding with tab": post("Transfer-Encoding:\\tchunked, identity", "0\\r\\n\\r\\n" + inner),
  "folded header": post("X-A: b\\r\\n Content-Length: 2", "{}" + inner),
  "space before colon": post("Content-Length : 2", "{}" + inner),
  "bare line feeds": "POST /v1/tools/files.list HTTP/1.1\\nHost: x\\nContent-Length: 2\\n\\n{}" + inner,
  "null in a header": post("X-A: \\u0000\\r\\nContent-Length: 2", "{}" + inner),
  "chunk size overflow": post("Transfer-Encoding: chunked", "fffffffffffffffff\\r\\n{}\\r\\n0\\r\\n\\r\\n" + inner),
  "chunk extension": post("Transfer-Encoding: chunked", "2;" + "a".repeat(20000) + "\\r\\n{}\\r\\n0\\r\\n\\r\\n" + inner),
};
const smuggling = {};
for (const [name, bytes] of Object.entries(smuggled)) smuggling[name] = await raw(bytes, 400);
const bytes = {
  "not HTTP": await raw("\\x16\\x03\\x01\\x02\\x00garbage\\r\\n\\r\\n", 400),
  "HTTP/2 preface": await raw("PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n", 400),
  "CONNECT": await raw("CONNECT 127.0.0.1:22 HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n", 400),
  "giant header": await raw("GET /v1/self HTTP/1.1\\r\\nHost: x\\r\\nX-A: " + "a".repeat(40000) + "\\r\\n\\r\\n", 400),
  "giant target": await raw("GET /v1/self?" + "a".repeat(40000) + " HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n", 400),
};
const path = (target) => raw("GET " + target + " HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n", 400);
const paths = {};
for (const target of ["/v1/status", "/v1/credentials", "/v1/shutdown", "/v1/../v1/self", "/v1//self", "/%76%31/self", "/v1/self/", "/v1/self;a", "/v1/self%00", "/V1/self", "//v1/self", "/v1/agents/victim/exec", "*", "/v1/tools/__proto__", "/v1/tools/constructor", "/openai/v1/../../v1/self", "/openai/v1/chat/completions/../models"]) paths[target] = (await path(target)).split("\\r\\n")[0];
const json = (body) => ask("POST", "/v1/tools/board.write", body);
const deep = (n) => "[".repeat(n) + "]".repeat(n);
const bodies = {
  "two keys": await json('{"key":"mine/a","value":"x","key":"secret/a"}'),
  "two keys, one escaped": await json('{"key":"mine/a","value":"x","k\\\\u0065y":"secret/a"}'),
  "__proto__": await json('{"key":"mine/a","value":"x","__proto__":{"key":"secret/a"}}'),
  "escaped __proto__": await json('{"key":"mine/a","value":"x","\\\\u005f_proto__":{}}'),
  "unknown key": await json('{"key":"mine/a","value":"x","writer":"victim"}'),
  "deep": await json('{"key":"mine/a","value":' + deep(5000) + "}"),
  "deeper": await json(deep(100000)),
  "not UTF-8": await new Promise((resolve) => import("node:http").then(({ default: http }) => { const r = http.request({ socketPath: "/run/cordon/door.sock", method: "POST", path: "/v1/tools/board.write" }, (a) => { a.resume(); resolve({ status: a.statusCode, text: "" }); }); r.end(Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d])); })),
  "not JSON": await json("{'key':1}"),
  "number": await json("1"),
  "empty": await json(""),
  "too large": await json('{"key":"mine/a","value":"' + "x".repeat(2000000) + '"}'),
  "gzip": await ask("POST", "/v1/tools/board.write", '{"key":"mine/a","value":"x"}', { "content-encoding": "gzip" }),
  "wrong types": await json('{"key":["mine/a"],"value":1}'),
  "lone surrogate": await json('{"key":"mine/\\\\ud800","value":"x"}'),
};
const model = (body) => ask("POST", "/openai/v1/chat/completions", { model: "rehearsal/echo", messages: [{ role: "user", content: "x" }], ...body });
const calls = {};
for (const [name, more] of Object.entries({ "negative bound": { max_tokens: -1 }, "fraction": { max_tokens: 1.5 }, "giant bound": { max_tokens: 1e15 }, "text bound": { max_tokens: "9" }, "n=0": { n: 0 }, "n=128": { n: 128 }, "picture": { messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "http://a" } }] }] }, "hosted tool": { tools: [{ type: "web_search" }] }, "both bounds": { max_tokens: 1, max_completion_tokens: 1 }, "unknown parameter": { service_tier: "priority" }, "no messages": { messages: [] } })) calls[name] = await model(more);
tell("done", { smuggling, bytes, paths, bodies: Object.fromEntries(Object.entries(bodies).map(([k, v]) => [k, { status: v.status, text: v.text.slice(0, 200) }])), calls: Object.fromEntries(Object.entries(calls).map(([k, v]) => [k, v.status])), awake: (await ask("POST", "/v1/tools/board.write", { key: "mine/ok", value: "x" })).status, model: (await model({})).status });
setInterval(() => {}, 1e6);
`;

/** The mesh's own leg of HTTP/1.1 with Node's behind it, and Node's alone. */
const legs: readonly (readonly [name: string, env: Readonly<Record<string, string>>])[] = [
  ["own leg", {}],
  ["Node's leg", { CORDON_HTTP1: "node" }],
];

for (const [leg, env] of legs)
  describe(leg, () => {
    let mesh: MeshFixture;
    let done: Record<string, Record<string, unknown>>;

    before(async () => {
      mesh = await startMesh(
        {
          "cordon.yaml": `
version: 1
fleet: malformed
defaults: { model: rehearsal/echo, budget: { day: { usd: 1.00 } }, sandbox: { cpus: 0.5 } }
agents:
  thief: { command: [/bin/node, /code/attack.mjs], code: code, may: { blackboard: { write: [mine/*] } } }
`,
          "code/prelude.mjs": attackerPrelude,
          "code/attack.mjs": attacker,
        },
        { env },
      );
      done = (await eventually(
        "the requests",
        async () => (await printed(mesh, "thief", "done"))[0],
        90_000,
      )) as typeof done;
    });
    after(() => mesh.stop());

    test("well-formed requests are answered", () => assert.deepEqual([done["awake"], done["model"]], [200, 200]));

    test("no second request hides behind a first", () => {
      for (const [name, seen] of Object.entries(done["smuggling"] ?? {})) {
        assert.equal(/"agent":"thief"/.test(String(seen)), false, `${name}: the inner request was answered`);
        assert.ok(String(seen).split("HTTP/1.1 ").length <= 2, `${name}: two answers`);
      }
    });

    test("what is no request gets nothing", () => {
      for (const [name, seen] of Object.entries(done["bytes"] ?? {}))
        assert.equal(/HTTP\/1\.1 2/.test(String(seen)), false, name);
    });

    test("only the canonical spelling of a route is one, and the desk's are none", () => {
      for (const [target, first] of Object.entries(done["paths"] ?? {}))
        assert.match(String(first), /^(HTTP\/1\.1 40[045].*)?$/, target);
    });

    test("no body is accepted that two parsers could read differently", async () => {
      for (const [name, answer] of Object.entries(done["bodies"] ?? {})) {
        const { status, text } = answer as { status: number; text: string };
        // Refused for its form, before anybody asks what it would do.
        if (/two keys|proto/.test(name)) assert.equal(status, 400, `${name}: ${text}`);
        assert.ok(
          [400, 403, 413, 422].includes(status) || (name === "too large" && status === 0),
          `${name}: ${status} ${text}`,
        );
      }
      const { rows } = await mesh.desk.board("**");
      assert.deepEqual(
        rows.map((row) => row.key),
        ["mine/ok"],
        "none of them wrote anything",
      );
    });

    test("no model call whose cost is not bounded goes out", () => {
      for (const [name, status] of Object.entries(done["calls"] ?? {}))
        assert.ok([400, 422].includes(Number(status)), `${name}: ${String(status)}`);
    });
  });
