import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { request, type RequestOptions } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { systemClock } from "../../lib/clock.ts";
import { deskFiles } from "../../protocol/desk.ts";
import { limits } from "../../protocol/limits.ts";
import { Monitor } from "../monitor/monitor.ts";
import { Desk, DeskError } from "./desk.ts";
import { deskRoutes } from "./routes.ts";
import type { DeskServices } from "./services.ts";
import { DeskToken } from "./token.ts";

const folder = mkdtempSync(join(tmpdir(), "cordon-desk-"));
const socketPath = join(folder, "d.sock");
const reached: string[] = [];
const stored: string[] = [];
const services = {
  monitor: new Monitor(systemClock),
  audit: { record: (event: { kind: string }) => (reached.push(event.kind), Promise.resolve()) },
  status: () => (reached.push("status"), Promise.resolve({ fleet: "f" })),
  costs: () => (reached.push("costs"), { agents: [] }),
  verifyAudit: () => (reached.push("verify"), { ok: true }),
  store: {
    commit: () => (reached.push("flush"), Promise.resolve()),
    query: {
      audit: { page: () => (reached.push("page"), []) },
      spending: {
        days: () => (reached.push("spending"), []),
        overrides: () => (reached.push("budgets"), []),
        overridesInForce: () => [],
      },
      tasks: {
        open: () => (reached.push("tasks"), []),
        newest: () => [],
        get: () => (reached.push("task"), undefined),
      },
      workflow: { newest: () => (reached.push("newest"), []), run: () => (reached.push("run"), undefined) },
    },
  },
  runs: {
    start: () => (reached.push("run.start"), Promise.resolve({ ok: true, value: { run: "run_1", plan: "" } })),
    engine: Object.fromEntries(
      ["pause", "resume", "cancel", "retry", "answer"].map((word) => [
        word,
        () => (reached.push(`run.${word}`), Promise.resolve({ ok: true, value: null })),
      ]),
    ),
  },
  money: {
    today: () => "2026-11-22",
    models: () => (reached.push("models"), { source: "", models: [] }),
    updatePrices: () => Promise.resolve({ ok: false, error: { code: "malformed", reason: "r", remedy: "m" } }),
    setBudget: () => Promise.resolve({ ok: true, value: {} }),
  },
  board: { list: () => (reached.push("board"), []) },
  inboxes: { replies: () => (reached.push("replies"), Promise.resolve([])) },
  supervisor: {
    runner: () => (reached.push("runner"), undefined),
    startAgent: () => undefined,
    stopAgent: () => undefined,
  },
  credentials: {
    list: () => (reached.push("credentials"), []),
    put: (name: string, value: { reveal<T>(use: (bytes: Uint8Array) => T): T }) => {
      const text = value.reveal((bytes) => Buffer.from(bytes).toString());
      stored.push(`${name}=${text}`);
      return Promise.resolve(
        text === "short" ? { ok: false, error: { reason: "too short", fix: "" } } : { ok: true, value: null },
      );
    },
    revoke: () => (reached.push("revoke"), Promise.resolve(false)),
    usage: () => (reached.push("usage"), { uses: [], idle: [] }),
    rotateMasterKey: () => (reached.push("rotate"), Promise.resolve()),
    login: () => (reached.push("login"), Promise.resolve({ ok: true, value: { kind: "device", url: "", code: "" } })),
    finishLogin: () => (reached.push("finishLogin"), Promise.resolve({ ok: true, value: null })),
  },
  shutdown: () => reached.push("shutdown"),
} as unknown as DeskServices;
const token = new DeskToken(folder, randomBytes);
const bearer = `Bearer ${readFileSync(join(folder, deskFiles.token), "utf8")}`;
const desk = new Desk(services, token);
let port = 0;

before(async () => {
  await desk.listenOnSocket(socketPath);
  port = await desk.listenOnPort("127.0.0.1", 0);
});
after(async () => {
  await desk.close();
  rmSync(folder, { recursive: true });
});

interface Asked {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Record<string, string>;
  readonly body?: string | readonly string[];
  readonly tcp?: boolean;
}

function ask({
  method = "GET",
  path,
  headers = { authorization: bearer },
  body,
  tcp,
}: Asked): Promise<{ status: number; body: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; body: string }>();
  const options: RequestOptions = {
    ...(tcp ? { host: "127.0.0.1", port } : { socketPath }),
    method,
    path,
    headers,
    agent: false,
  };
  const sending = request(options, (response) => {
    let text = "";
    response.on("data", (chunk) => (text += String(chunk)));
    response.on("end", () => resolve({ status: response.statusCode ?? 0, body: text }));
  });
  sending.on("error", reject);
  if (typeof body === "object") for (const chunk of body) sending.write(chunk);
  sending.end(typeof body === "string" ? body : undefined);
  return promise;
}

const routes = Object.keys(deskRoutes).map((route) => {
  const [method = "", path = ""] = route.split(" ");
  return { method, path: path.replace("*", "abc") };
});

test("no route answers without the token, in whatever form it comes", async () => {
  assert.ok(routes.length >= 16);
  const value = bearer.slice("Bearer ".length);
  const forms = [
    undefined,
    "Bearer",
    "Bearer ",
    `bearer ${value}`,
    `Bearer  ${value}`,
    `Bearer ${value}x`,
    `Bearer ${value.slice(1)}`,
    `Basic ${value}`,
    value,
    `Bearer ${"A".repeat(43)}`,
  ];
  reached.length = 0;
  for (const { method, path } of routes) {
    for (const form of forms) {
      const { status, body } = await ask({
        method,
        path,
        headers: form === undefined ? {} : { authorization: form },
        ...(method === "POST" ? { body: "{}" } : {}),
      });
      assert.equal(status, 401, `${method} ${path} ${form}`);
      assert.ok(!body.includes(value));
    }
  }
  assert.deepEqual([reached, stored], [[], []]);
});

test("every route answers with the token, and reaches its room", async () => {
  for (const { method, path } of routes) {
    const { status } = await ask({ method, path, ...(method === "POST" ? { body: "{}" } : {}) });
    assert.ok([200, 204, 400, 404].includes(status), `${method} ${path}: ${status}`);
  }
  for (const room of [
    "status",
    "costs",
    "verify",
    "spending",
    "budgets",
    "models",
    "page",
    "board",
    "replies",
    "tasks",
    "task",
    "runner",
    "credentials",
    "revoke",
    "usage",
    "rotate",
    "login",
    "shutdown",
  ])
    assert.ok(reached.includes(room), room);
});

test("records and spending are told with what nobody has waited for", async () => {
  for (const [path, room] of [
    ["/v1/audit", "page"],
    ["/v1/spending", "spending"],
  ] as const) {
    reached.length = 0;
    await ask({ method: "GET", path });
    assert.deepEqual(reached, ["flush", room]);
  }
});

test("what is no route is 404, and no other spelling of a path is one", async () => {
  for (const path of [
    "/",
    "/v1",
    "/v1/",
    "/v1/status/",
    "//v1/status",
    "/v1//status",
    "/v1/./status",
    "/v1/x/../status",
    "/V1/status",
    "/v1/%73tatus",
    "/v1/agents/*/logs",
    "/v1/agents/A/logs",
    "/v1/agents/a%2fb/logs",
    "/v1/agents/__proto__/logs/x",
    "/constructor",
    "http://desk/v1/status",
  ]) {
    assert.equal((await ask({ path })).status, 404, path);
  }
  for (const method of ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
    assert.equal((await ask({ method, path: "/v1/status" })).status, 404, method);
});

test("a web page is refused by its Origin, and on the port by the name that it used", async () => {
  const headers = { authorization: bearer };
  for (const origin of ["https://evil.test", "null", "http://127.0.0.1", ""])
    assert.equal((await ask({ path: "/v1/status", headers: { ...headers, origin } })).status, 401, origin);
  for (const host of [
    "evil.test",
    "localhost.evil.test",
    `evil.test:${port}`,
    "127.0.0.1.nip.io",
    "[::1]x",
    "0.0.0.0",
  ]) {
    assert.equal((await ask({ path: "/v1/status", headers: { ...headers, host }, tcp: true })).status, 401, host);
  }
  for (const host of [`127.0.0.1:${port}`, "localhost", `localhost:${port}`, "[::1]"])
    assert.equal((await ask({ path: "/v1/status", headers: { ...headers, host }, tcp: true })).status, 200, host);
  assert.equal((await ask({ path: "/v1/status", headers: {}, tcp: true })).status, 401);
});

test("only a loopback address is listened on", async () => {
  for (const host of ["0.0.0.0", "::", "192.168.1.1", "example.org", ""])
    await assert.rejects(desk.listenOnPort(host, 0), DeskError);
  await assert.rejects(desk.listenOnPort("127.0.0.1", port), /in use: .*--listen/);
  await assert.rejects(desk.listenOnSocket(`/tmp/${"x".repeat(110)}`), /too long for a socket/);
});

test("a credential goes in and is not repeated, also when it is refused", async () => {
  const put = (body: object) => ask({ method: "POST", path: "/v1/credentials", body: JSON.stringify(body) });
  assert.equal(
    (await put({ name: "k", expect: "new", valueBase64: Buffer.from("canary-value").toString("base64") })).status,
    204,
  );
  assert.deepEqual(stored, ["k=canary-value"]);
  for (const body of [
    { name: "k", expect: "new", valueBase64: Buffer.from("short").toString("base64") },
    { name: "k", expect: "new", valueBase64: "canary!" },
    { name: "K", valueBase64: "canary00" },
    { name: "k", expect: "new", valueBase64: "canary00", extra: "canary" },
    { name: "canary00" },
  ]) {
    const answer = await put(body);
    assert.equal(answer.status, 400);
    assert.ok(!answer.body.includes("canary0") && !answer.body.includes("canary!"), answer.body);
  }
});

test("bodies are bounded and strict, whether their length is told or not", async () => {
  const post = (body: string | readonly string[], headers = {}) =>
    ask({ method: "POST", path: "/v1/credentials", body, headers: { authorization: bearer, ...headers } });
  const large = "x".repeat(limits.desk.bodyBytesMax + 1);
  assert.equal((await post(large)).status, 413);
  assert.equal((await post([large.slice(0, 1000), large.slice(1000)], { "transfer-encoding": "chunked" })).status, 413);
  for (const body of ["", "{", `{"a":1,"a":2}`, "[".repeat(40) + "]".repeat(40)])
    assert.equal((await post(body)).status, 400, body);
  assert.equal((await post("{}", { "content-encoding": "gzip" })).status, 422);
});

test("the token and the socket belong to the owner alone, and each start has a token of its own", () => {
  assert.equal(statSync(join(folder, deskFiles.token)).mode & 0o777, 0o600);
  assert.equal(statSync(socketPath).mode & 0o777, 0o600);
  assert.match(bearer, /^Bearer [A-Za-z0-9_-]{43}$/);
  const state = mkdtempSync(join(folder, "t-"));
  const first = new DeskToken(state, randomBytes);
  const held = `Bearer ${readFileSync(join(state, deskFiles.token), "utf8")}`;
  const second = new DeskToken(state, randomBytes);
  assert.deepEqual(
    [first.admits(held), second.admits(held), token.admits(held), token.admits(bearer)],
    [true, false, false, true],
  );
  assert.deepEqual(readdirSync(state), [deskFiles.token]);
});
