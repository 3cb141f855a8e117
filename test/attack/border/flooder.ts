/** A hijacked agent that spends all it has on being in the way, one attempt after another. Runs inside a sandbox. */
export const flooder = `
import { ask, tell } from "./prelude.mjs";
import { spawn } from "node:child_process";
import fs from "node:fs";
import http from "node:http";
import net from "node:net";
// Connections are limited by themselves: these requests come over a few that stay.
const agent = new http.Agent({ keepAlive: true, maxSockets: 32 });
const keptAsk = (path, body) => new Promise((resolve) => {
  const request = http.request({ socketPath: door, method: "POST", path, headers: { "content-type": "application/json" }, agent }, (response) => response.resume().on("end", () => resolve({ status: response.statusCode })));
  request.on("error", () => resolve({ status: 0 }));
  request.end(JSON.stringify(body));
});
const door = "/run/cordon/door.sock";
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const open = (bytes, read = true) => { const socket = net.connect(door); socket.on("error", () => {}); if (read) socket.resume(); else socket.pause(); if (bytes) socket.write(bytes); return socket; };
const opened = (count, bytes, read) => Array.from({ length: count }, (_, n) => open(typeof bytes === "function" ? bytes(n) : bytes, read));
const drop = async (sockets) => { for (const socket of sockets) socket.destroy(); await sleep(300); };
const head = (line, length) => line + " HTTP/1.1\\r\\nHost: x\\r\\nContent-Type: application/json\\r\\n" + (length ? "Content-Length: " + length + "\\r\\n" : "");
const post = (path, body) => { const text = JSON.stringify(body); return head("POST " + path, Buffer.byteLength(text)) + "\\r\\n" + text; };
const tally = (answers) => answers.reduce((sum, { status }) => ({ ...sum, [status]: (sum[status] ?? 0) + 1 }), {});
const drip = async (sockets, ms) => { for (const end = performance.now() + ms; performance.now() < end; await sleep(200)) for (const socket of sockets) socket.write("a"); };
const attempts = {
  // A process may have 1,024 files open: it takes several.
  async connections() {
    const children = [0, 1, 2].map(() => spawn("/bin/node", ["/code/hold.mjs", "667"], { stdio: ["ignore", "pipe", "ignore"] }));
    await Promise.all(children.map((child) => new Promise((resolve) => child.stdout.once("data", resolve))));
    await sleep(2000);
    for (const child of children) child.kill("SIGKILL");
    await sleep(300);
    return { held: 3 * 667 };
  },
  async "slow heads"() { const sockets = opened(300, head("GET /v1/self") + "X-A: "); await drip(sockets, 6500); const left = sockets.filter((socket) => !socket.destroyed && socket.readyState === "open").length; await drop(sockets); return { left }; },
  async "slow bodies"() { const sockets = opened(300, head("POST /v1/tools/board.write", 100000) + "\\r\\n{"); await drip(sockets, 2500); await drop(sockets); return {}; },
  async "requests"() {
    const answers = [];
    const end = performance.now() + 4000;
    const lane = async (n) => { while (performance.now() < end) answers.push(await keptAsk("/v1/tools/board.write", { key: n % 2 ? "flood/a" : "victim/a", value: "x" })); };
    await Promise.all(Array.from({ length: 32 }, (_, n) => lane(n)));
    return { answers: tally(answers) };
  },
  async polls() { await sleep(9000); const sockets = opened(256, head("GET /v1/inbox?wait_ms=25000") + "\\r\\n"); await sleep(1500); await drop(sockets); return {}; },
  // Not longer: the rehearsal model is a part of the mesh, and what it holds of an answer is measured with it.
  async "half-open streams"() {
    await sleep(5000);
    const body = { model: "rehearsal/counter", stream: true, max_tokens: 20000, messages: [{ role: "user", content: "count 20000" }] };
    const sockets = opened(200, post("/openai/v1/chat/completions", body), false);
    await sleep(3000);
    await drop(sockets);
    return {};
  },
  async "answers that nobody reads"() {
    await sleep(6000);
    const stored = await ask("POST", "/v1/tools/board.write", { key: "flood/big", value: "\\u0001".repeat(40000) });
    await sleep(4000);
    const sockets = opened(300, post("/v1/tools/board.read", { key: "flood/big" }).repeat(3), false);
    await sleep(3000);
    await drop(sockets);
    return { stored: stored.status };
  },
  async inbox() {
    await sleep(8000);
    const answers = [];
    for (let n = 0; n < 10; n++) answers.push(...(await Promise.all(Array.from({ length: 32 }, () => ask("POST", "/v1/tools/message.send", { to: "victim", body: "x".repeat(1000) })))));
    return { answers: tally(answers), busy: answers.filter(({ text }) => text.includes('"busy"')).length };
  },
  async log() { const line = "flood ".repeat(160) + "\\n"; for (const end = performance.now() + 3000; performance.now() < end; await sleep(0)) { try { fs.writeSync(1, line.repeat(32)); } catch { await sleep(5); } } return {}; },
};
let delivery = {};
while (delivery.status !== 200) delivery = await ask("GET", "/v1/inbox?wait_ms=20000");
const asked = JSON.parse(JSON.parse(delivery.text).body);
const done = {};
for (const name of asked.attempts ?? Object.keys(attempts)) done[name] = await attempts[name]();
let served = { status: 0 };
for (let n = 0; n < 200 && served.status !== 200; n++) { served = await ask("GET", "/v1/self"); await sleep(50); }
const wrote = await ask("POST", "/v1/tools/board.write", { key: "flood/after", value: "x" });
await sleep(1500);
fs.writeSync(1, "\\n");
tell("flooded", { done, served: served.status, wrote: wrote.status });
setInterval(() => {}, 1e6);
`;

/** Holds as many connections as it is told, and sends nothing. */
export const holder = `
import net from "node:net";
for (let n = 0; n < Number(process.argv[2]); n++) net.connect("/run/cordon/door.sock").on("error", () => {});
setTimeout(() => console.log("up"), 500);
setInterval(() => {}, 1e6);
`;

/** Asks on without a pause, checks every answer, and says how many were right. */
export const bystander = `
import { ask, tell } from "./prelude.mjs";
let good = 0;
const bad = [];
const check = (name, answer, right) => { if (answer.status === 200 && right(answer.text)) good++; else if (bad.length < 10) bad.push([name, answer.status, answer.text.slice(0, 200)]); };
let told = performance.now();
for (let n = 0; ; n++) {
  check("self", await ask("GET", "/v1/self"), (text) => JSON.parse(text).agent === "victim");
  check("write", await ask("POST", "/v1/tools/board.write", { key: "victim/n", value: "n" + n }), (text) => JSON.parse(text).result.version > 0);
  check("read", await ask("POST", "/v1/tools/board.read", { key: "victim/n" }), (text) => JSON.parse(text).result.value === "n" + n);
  if (n % 5 === 0) check("model", await ask("POST", "/openai/v1/chat/completions", { model: "rehearsal/echo", max_tokens: 50, messages: [{ role: "user", content: "hello " + n }] }), (text) => text.includes("hello " + n));
  await new Promise((resolve) => setTimeout(resolve, 60));
  if (performance.now() - told > 1000) { told = performance.now(); tell("count", { good, bad }); }
}
`;
