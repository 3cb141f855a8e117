/** Everybody but the holder of this start's token: on both sockets, from another user, from inside a sandbox. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, lstatSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { deskRoutes } from "../../../mesh/desk/routes.ts";
import { limits } from "../../../protocol/limits.ts";
import { freePort } from "../../fleet/free-port.ts";
import { attackerPrelude, eventually, printed, startMesh, type MeshFixture } from "../../fleet/running-mesh.ts";
import { askRaw, type Place } from "../../fleet/raw-request.ts";

const fleet = `
version: 1
fleet: desk
defaults: { model: rehearsal/echo, budget: { day: { usd: 1.00 } }, sandbox: { cpus: 0.5 } }
agents:
  thief: { command: [/bin/node, /code/attack.mjs], code: code }
`;

/** Is told where everything is, the token included, and still reaches no desk. */
const attacker = `
import { ask, tell } from "./prelude.mjs";
import fs from "node:fs";
import net from "node:net";
let delivery;
while (!delivery) {
  const { status, text } = await ask("GET", "/v1/inbox?wait_ms=20000");
  if (status === 200) delivery = JSON.parse(text);
}
const { token, port, state, addresses } = JSON.parse(delivery.body);
const head = "GET /v1/status HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\nAuthorization: Bearer " + token + "\\r\\nConnection: close\\r\\n\\r\\n";
const talk = (where) => new Promise((resolve) => {
  const socket = net.connect(where);
  let text = "";
  const end = (how) => { socket.destroy(); resolve(text.split("\\r\\n")[0] || how); };
  socket.on("connect", () => socket.write(head)).on("data", (piece) => (text += piece)).on("close", () => end("closed")).on("error", (error) => end(error.code));
  setTimeout(() => end("timeout"), 2000);
});
const seen = {};
for (const path of [state + "/desk.sock", "/proc/1/root" + state + "/desk.sock", "/proc/self/root" + state + "/desk.sock", "/run/cordon/desk.sock", "/run/cordon/../../.." + state + "/desk.sock", "/proc/1/cwd/desk.sock", "desk.sock", "/data/desk.sock"]) seen[path] = await talk({ path });
for (const name of [state + "/desk.sock", "desk.sock", "cordon", "cordon/desk"]) seen["abstract " + name] = await talk({ path: "\\0" + name });
for (const host of ["127.0.0.1", "::1", "0.0.0.0", "::ffff:127.0.0.1", ...addresses]) seen[host] = await talk({ host, port });
const files = [];
for (const path of [state, "/proc/1/root" + state, state + "/desk.token", "/proc/1/root" + state + "/desk.token"]) try { fs.lstatSync(path); files.push(path); } catch {}
const sockets = [];
const look = (path, depth) => {
  let stat;
  try { stat = fs.lstatSync(path); } catch { return; }
  if (stat.isSocket()) sockets.push(path);
  if (stat.isDirectory() && depth > 0 && path !== "/proc") for (const name of (() => { try { return fs.readdirSync(path); } catch { return []; } })()) look(path.replace(/\\/$/, "") + "/" + name, depth - 1);
};
look("/", 6);
const door = {};
for (const path of ["/v1/status", "/v1/credentials", "/v1/agents/thief/exec"]) door[path] = (await ask("GET", path, undefined, { authorization: "Bearer " + token, host: "127.0.0.1" })).status;
tell("tried", { seen, files, sockets, door });
setInterval(() => {}, 1e6);
`;

let mesh: MeshFixture;
let port: number;
let stale: string;
let token: string;
let places: readonly Place[];

before(async () => {
  port = await freePort();
  const first = await startMesh(
    { "cordon.yaml": fleet, "code/prelude.mjs": attackerPrelude, "code/attack.mjs": attacker },
    { listen: `127.0.0.1:${port}` },
  );
  stale = readFileSync(join(first.state, "desk.token"), "utf8");
  await first.kill();
  mesh = await first.again();
  token = readFileSync(join(mesh.state, "desk.token"), "utf8");
  places = [{ path: join(mesh.state, "desk.sock") }, { host: "127.0.0.1", port }];
});
after(() => mesh.stop());

/** Each route with a name where it takes one. */
const routes = Object.keys(deskRoutes).map((route) => {
  const [method = "", path = ""] = route.split(" ");
  return { method, path: path.replace("*", "thief") };
});
const body = (method: string): string => (method === "POST" ? "{}" : "");

/** Ways to come without a token, or with it where it does not count. `H` stands for a good `Host`. */
function impostors(): Readonly<Record<string, { readonly headers: readonly string[]; readonly query?: string }>> {
  const bearer = `Authorization: Bearer ${token}`;
  const wrong = (token.startsWith("A") ? "B" : "A") + token.slice(1);
  const basic = (text: string): string => `Authorization: Basic ${Buffer.from(text).toString("base64")}`;
  return {
    nothing: { headers: [] },
    "the token of an earlier start": { headers: [`Authorization: Bearer ${stale}`] },
    "a token that differs in one character": { headers: [`Authorization: Bearer ${wrong}`] },
    "the token without its end": { headers: [`Authorization: Bearer ${token.slice(0, -1)}`] },
    "the token and more": { headers: [`${bearer}A`] },
    "the token in upper case": { headers: [`Authorization: Bearer ${token.toUpperCase()}`] },
    "an empty token": { headers: ["Authorization: Bearer "] },
    "a token too long": { headers: [`Authorization: Bearer ${"A".repeat(4_000)}`] },
    "another scheme": { headers: [`Authorization: Token ${token}`] },
    "no scheme": { headers: [`Authorization: ${token}`] },
    "the scheme in lower case, wrong token": { headers: [`Authorization: bearer ${wrong}`] },
    "two spaces": { headers: [`Authorization: Bearer  ${token}`] },
    "a tab": { headers: [`Authorization: Bearer\t${token}`] },
    "a comma list": { headers: [`Authorization: Bearer ${wrong}, Bearer ${token}`] },
    "two headers": { headers: [`Authorization: Bearer ${wrong}`, bearer] },
    "basic, as password": { headers: [basic(`operator:${token}`)] },
    "basic, as name": { headers: [basic(`${token}:`)] },
    "a query": { headers: [], query: `?token=${token}&access_token=${token}&authorization=Bearer%20${token}` },
    "a cookie": { headers: [`Cookie: token=${token}; desk.token=${token}; authorization=Bearer ${token}`] },
    "other headers": {
      headers: [`Proxy-Authorization: Bearer ${token}`, `X-Api-Key: ${token}`, `X-Authorization: Bearer ${token}`],
    },
    "the token from a page of another site": { headers: [bearer, "Origin: https://evil.example"] },
    "the token from a page without an origin": { headers: [bearer, "Origin: null"] },
    "the token from a page of this very port": { headers: [bearer, `Origin: http://127.0.0.1:${port}`] },
  };
}

test("no route answers without the token of this start", async () => {
  assert.ok(routes.length >= 16, "the table was walked");
  for (const place of places) {
    for (const [name, { headers, query = "" }] of Object.entries(impostors())) {
      for (const { method, path } of routes) {
        const { status, text } = await askRaw(
          place,
          method,
          path + query,
          ["Host: 127.0.0.1", ...headers],
          body(method),
        );
        assert.equal(status, 401, `${name}: ${method} ${path}`);
        assert.deepEqual(Object.keys(JSON.parse(text) as object), ["error"], `${name}: nothing else is told`);
      }
    }
  }
});

test("nothing that was asked for has happened", async () => {
  const { agents } = await mesh.desk.status();
  assert.deepEqual(
    agents.map(({ name, phase, inbox }) => ({ name, phase, inbox })),
    [{ name: "thief", phase: "running", inbox: 0 }],
  );
  const { records } = await mesh.desk.audit(0, 1_000);
  assert.ok(records.length > 0);
  assert.deepEqual(
    records.filter(({ subject }) => subject.startsWith("principal:")),
    [],
  );
});

test("no route that is not there tells so to a stranger", async () => {
  for (const place of places)
    for (const target of ["/", "/v1/nothing", "*", "http://127.0.0.1/v1/status", "//v1/status", "/v1/status/"])
      for (const method of ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"]) {
        const { status } = await askRaw(place, method, target, ["Host: 127.0.0.1"], "");
        assert.equal(status, 401, `${method} ${target}`);
      }
});

test("on the port, the token does not count for another name of the host (DNS rebinding)", async () => {
  const [, tcp] = places;
  assert.ok(tcp);
  const names = [
    "evil.example",
    `127.0.0.1.evil.example:${port}`,
    "localhost.",
    "127.0.0.1@evil.example",
    "127.1",
    "0.0.0.0",
  ];
  for (const host of [
    ...names.map((name) => `Host: ${name}`),
    "Host:",
    "Host: 127.0.0.1:",
    "Host: 127.0.0.1, evil.example",
  ]) {
    for (const { method, path } of routes) {
      const { status } = await askRaw(tcp, method, path, [host, `Authorization: Bearer ${token}`], body(method));
      // No host at all is no request of HTTP/1.1 (RFC 9112 §3.2).
      assert.ok(status === 401 || (host === "Host:" && status === 400), `${host}: ${method} ${path}: ${status}`);
    }
  }
});

test("with the token each route answers", async () => {
  for (const place of places) {
    for (const { method, path } of routes.filter(({ path }) => path !== "/v1/shutdown" && !path.endsWith("/stop"))) {
      const headers = ["Host: localhost", `Authorization: Bearer ${token}`];
      const { status, text } = await askRaw(place, method, path, headers, body(method));
      // No run has been started and no task given that one could look at.
      const isOfOne = /^\/v1\/(?:runs|tasks)\//.test(path);
      const expected = method === "GET" && !isOfOne ? [200, 204] : [200, 204, 400, 404, 424];
      assert.ok(expected.includes(status), `${method} ${path}: ${status}`);
      assert.equal(text.includes("the desk has no"), false, `${method} ${path} is a route`);
    }
  }
});

/** Runs in a process that has given up root for good. */
const stranger = `
const fs = require("node:fs"), net = require("node:net");
process.setgroups([]); process.setgid(65534); process.setuid(65534);
const [folder, state, port, mesh] = process.argv.slice(1);
const attempt = (look) => { try { look(); return "done"; } catch (error) { return error.code; } };
const talk = (where) => new Promise((resolve) => {
  const socket = net.connect(where);
  let text = "";
  socket.on("connect", () => socket.write("GET /v1/status HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n"));
  socket.on("data", (piece) => (text += piece)).on("close", () => resolve(text.split("\\r\\n")[0])).on("error", (error) => resolve(error.code));
});
(async () => console.log(JSON.stringify({
  folder: attempt(() => fs.readdirSync(folder)),
  state: attempt(() => fs.readdirSync(state)),
  token: attempt(() => fs.readFileSync(state + "/desk.token")),
  store: attempt(() => fs.readFileSync(state + "/cordon.sqlite")),
  key: attempt(() => fs.readFileSync(state + "/vault.key")),
  replace: attempt(() => fs.writeFileSync(state + "/desk.token", "x")),
  remove: attempt(() => fs.unlinkSync(state + "/desk.sock")),
  environment: attempt(() => fs.readFileSync("/proc/" + mesh + "/environ")),
  descriptors: attempt(() => fs.readdirSync("/proc/" + mesh + "/fd")),
  memory: attempt(() => fs.openSync("/proc/" + mesh + "/mem", "r")),
  socket: await talk({ path: state + "/desk.sock" }),
  port: await talk({ host: "127.0.0.1", port: Number(port) }),
})))();
`;

function asStranger(): Record<string, string> {
  const words = ["--eval", stranger, mesh.folder, mesh.state, String(port), String(mesh.pid)];
  const { stdout, stderr } = spawnSync(process.execPath, words, { encoding: "utf8" });
  assert.notEqual(stdout, "", stderr);
  return JSON.parse(stdout) as Record<string, string>;
}

test("another user of the machine gets nothing but the port's refusal", () => {
  // The folder around it may be anybody's: only what the mesh has made itself counts.
  chmodSync(mesh.folder, 0o755);
  const mode = (name: string): number => lstatSync(join(mesh.state, name)).mode & 0o777;
  assert.deepEqual([mode("."), mode("desk.sock"), mode("desk.token")], [0o700, 0o600, 0o600]);
  const refused = "HTTP/1.1 401 Unauthorized";
  const none = Object.fromEntries(
    ["state", "token", "store", "key", "replace", "remove", "environment", "descriptors", "memory", "socket"].map(
      (key) => [key, "EACCES"],
    ),
  );
  assert.deepEqual(asStranger(), { ...none, folder: "done", port: refused });
  try {
    // Each file holds by itself when the folder does not.
    chmodSync(mesh.state, 0o711);
    assert.deepEqual(asStranger(), { ...none, folder: "done", port: refused });
    chmodSync(join(mesh.state, "desk.sock"), 0o666);
    assert.deepEqual(
      asStranger(),
      { ...none, folder: "done", socket: refused, port: refused },
      "and the look is awake",
    );
  } finally {
    chmodSync(join(mesh.state, "desk.sock"), 0o600);
    chmodSync(mesh.state, 0o700);
  }
});

test("a sandbox that knows the token and the place finds no desk", async () => {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address));
  await mesh.desk.send("thief", JSON.stringify({ token, port, state: mesh.state, addresses }));
  const tried = await eventually("the attempts", async () => (await printed(mesh, "thief", "tried"))[0], 90_000);
  const seen = Object.entries(tried["seen"] as Record<string, string>);
  assert.ok(seen.length >= 16, "all were tried");
  for (const [where, how] of seen)
    assert.match(how, /^(ENOENT|EACCES|ECONNREFUSED|ENETUNREACH|EHOSTUNREACH|EADDRNOTAVAIL|EINVAL|timeout)$/, where);
  assert.deepEqual(tried["files"], []);
  assert.deepEqual(tried["sockets"], ["/run/cordon/door.sock"], "the search is awake, and there is one socket");
  assert.deepEqual(
    Object.values(tried["door"] as object),
    [404, 404, 404],
    "the door is no desk, whatever it is shown",
  );
});

test("a flood of strangers hides no event and writes no evidence", async () => {
  const count = 6_000;
  const [, tcp] = places;
  assert.ok(tcp);
  const begin = performance.now();
  const recordsBefore = (await mesh.desk.verifyAudit()).records;
  const lane = async (): Promise<void> => {
    for (let n = 0; n < count / 8; n++) await askRaw(tcp, "GET", `/v1/status?${n}`, ["Host: 127.0.0.1"]);
  };
  await Promise.all(Array.from({ length: 8 }, lane));
  const seconds = (performance.now() - begin) / 1_000;
  const { events } = await mesh.desk.events(0, 0);
  assert.ok(
    events.some(({ type }) => type === "sandbox.started"),
    "the start of the sandbox is still to be seen",
  );
  const refused = await countEvents("desk.refused");
  assert.ok(refused >= 2 && refused <= 60 + seconds, `${refused} events of ${count} refusals`);
  assert.equal((await mesh.desk.verifyAudit()).records - recordsBefore, 0, "no stranger can make the evidence grow");
});

async function countEvents(type: string): Promise<number> {
  let found = 0;
  for (let after = 0; ;) {
    const { events, next } = await mesh.desk.events(after, 0);
    if (events.length === 0) return found;
    found += events.filter((event) => event.type === type).length;
    after = next;
  }
}

test("strangers who hold every connection of the port do not keep the operator out for long", async () => {
  const held = await Promise.all(
    Array.from({ length: limits.desk.connectionsMax + 8 }, async () => {
      const socket = connect(port, "127.0.0.1").on("error", () => {});
      await once(socket, "connect");
      return socket;
    }),
  );
  assert.equal((await mesh.desk.status()).fleet, "desk", "the socket is not theirs");
  const [, tcp] = places;
  assert.ok(tcp);
  const headers = ["Host: localhost", `Authorization: Bearer ${token}`];
  await eventually(
    "the port",
    async () => {
      const { status } = await askRaw(tcp, "GET", "/v1/costs", headers);
      return status === 200 ? true : undefined;
    },
    limits.door.headTimeoutMs + 5_000,
  );
  for (const socket of held) socket.destroy();
});

test("the desk listens on no address but loopback", async () => {
  for (const listen of ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "127.0.0.2:0"]) {
    const outcome = await startMesh({ "cordon.yaml": fleet, "code/attack.mjs": "" }, { listen }).then(
      (mesh) => mesh.stop().then(() => "it listened"),
      String,
    );
    assert.match(outcome, /ended with 1: [^]*is not (a loopback address|HOST:PORT)[^]*use [^]*127\.0\.0\.1/, listen);
  }
});

test("who may ask for the end gets it", async () => {
  const [socket] = places;
  assert.ok(socket);
  const { status } = await askRaw(socket, "POST", "/v1/shutdown", [`Host: x`, `Authorization: Bearer ${token}`], "{}");
  assert.equal(status, 204);
  await eventually("the end", async () => (existsSync(`/proc/${mesh.pid}`) ? undefined : true));
});
