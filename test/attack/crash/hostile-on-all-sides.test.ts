/**
 * Hostile agents at every route of their doors, and hostile servers that answer them, at once: nothing of it may throw where
 * nobody catches it, hold up everybody else, or stay in memory. CORDON_HUNT_SECONDS makes it longer, CORDON_HUNT_SEED another one.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import type { MeshEvent } from "../../../protocol/desk.ts";
import { RUN_DIR } from "../../../mesh/sandbox/places.ts";
import { freePort } from "../../fleet/free-port.ts";
import { eventually, startMesh, type MeshFixture } from "../../fleet/running-mesh.ts";
import { answerTo, requestOf } from "./hostile-world.ts";
import { diceOf, oneOf, type Dice } from "./mutations.ts";

const huntMs = Number(process.env["CORDON_HUNT_SECONDS"] ?? 6) * 1_000;
const seed = Number(process.env["CORDON_HUNT_SEED"] ?? 1);
/** The door of each lets in so many requests only. */
const AGENTS = [..."abcdefghijkl"].slice(0, huntMs > 30_000 ? 12 : 4);
/** Of each agent at once. */
const CONNECTIONS = 6;
/** One turn of the loop that takes longer is everybody's time: of the processor, which no other process takes part of. */
const TURN_CPU_MS_MAX = 500;
const PATIENCE_MS = 120_000;
const GROWTH_BYTES_MAX = 400 * 1024 ** 2;

const folder = mkdtempSync(join(tmpdir(), "cordon-hunt-"));
const measured = join(folder, "measured");
/** Runs inside the mesh. */
const watcher = `
import { writeFileSync, writeSync } from "node:fs";
import { isMainThread } from "node:worker_threads";
Error.stackTraceLimit = 40;
if (isMainThread && process.argv.includes("serve")) {
  process.on("uncaughtExceptionMonitor", (error, origin) => writeSync(2, "HUNTED " + origin + " " + (error?.stack ?? error) + "\\n"));
  let before = process.threadCpuUsage();
  let worstMs = 0;
  let worstRss = 0;
  setInterval(() => {
    const now = process.threadCpuUsage();
    worstMs = Math.max(worstMs, (now.user + now.system - before.user - before.system) / 1000);
    before = now;
  }, 5).unref();
  setInterval(() => {
    worstRss = Math.max(worstRss, process.memoryUsage.rss());
    writeFileSync(${JSON.stringify(measured)}, JSON.stringify({ worstMs, worstRss }));
    worstMs = 0;
  }, 200).unref();
}
`;

let server: Server;
let port = 0;
let desk = 0;
let mesh: MeshFixture;
let asked = 0;
let answered = 0;
let served = 0;
const sockets = new Set<Socket>();

before(async () => {
  const dice = diceOf(seed);
  desk = await freePort();
  server = createServer((socket) => void serve(socket, diceOf(dice(2 ** 31))));
  await once(server.listen(0, "127.0.0.1"), "listening");
  port = (server.address() as AddressInfo).port;
  writeFileSync(join(folder, "watcher.mjs"), watcher);
  const at = `http://127.0.0.1:${port}`;
  const price = "price: { input: 0.000001, output: 0.000001 }";
  mesh = await startMesh(
    {
      "cordon.yaml": `
version: 1
fleet: hunted
providers:
  evil: { api: openai, base_url: "${at}/evil", ${price} }
  wicked: { api: anthropic, base_url: "${at}/wicked", ${price} }
  vile: { api: gemini, base_url: "${at}/vile", ${price} }
  cloud: { api: anthropic, bedrock: { region: eu-central-1 }, base_url: "${at}/cloud", ${price} }
models: { chained: { chain: [evil/m, wicked/m, vile/m] } }
defaults: { model: evil/m, runaway: off, sandbox: { memory: 96MiB } }
agents:
${AGENTS.map(
  (name) => `  ${name}:
    command: [/bin/node, -e, "setInterval(() => {}, 1e6)"]
    may:
      models: [evil/*, wicked/*, vile/*, cloud/*]
      message: [${AGENTS.filter((other) => other !== name).join(", ")}]
      blackboard: { read: ["**"], write: ["mine/**"] }
      topics: { publish: ["mine/**"], subscribe: ["mine/**"] }
      reach: [{ to: "${at}", address: 127.0.0.1 }]`,
).join("\n")}
`,
    },
    {
      listen: `127.0.0.1:${desk}`,
      env: { NODE_OPTIONS: `--import=${pathToFileURL(join(folder, "watcher.mjs")).href}` },
    },
  );
});

after(async () => {
  for (const socket of sockets) socket.destroy();
  server.close();
  // One that has been ended leaves its sandboxes to the next one.
  await (mesh.errors() === "" ? mesh : await mesh.again()).stop();
  rmSync(folder, { recursive: true });
});

/** Answers each request, or a part of it, and sometimes ends in a bad way. */
function serve(socket: Socket, dice: Dice): void {
  sockets.add(socket);
  socket.on("error", () => {}).on("close", () => sockets.delete(socket));
  const say = async (request: string): Promise<void> => {
    served++;
    for (const piece of answerTo(dice, /"stream": ?true|alt=sse|response-stream/.test(request))) {
      if (socket.destroyed) return;
      socket.write(piece);
      if (dice(4) === 0) await new Promise((resolve) => setTimeout(resolve, dice(3)));
      if (dice(60) === 0) return void (dice(2) === 0 ? socket.resetAndDestroy() : socket.destroy());
    }
    const end = dice(4);
    if (end === 0) socket.end();
    if (end === 1 && dice(4) === 0) socket.resetAndDestroy();
  };
  socket.on("data", (bytes: Buffer) => {
    const text = bytes.toString("latin1");
    if (/^[A-Z]+ \//.test(text)) void say(text);
  });
}

/** One connection after another to one door. */
async function attack(door: string | number, dice: Dice, goesOn: () => boolean): Promise<void> {
  while (goesOn()) {
    const socket = typeof door === "string" ? connect(door) : connect(door, "127.0.0.1");
    socket.on("error", () => {}).on("data", () => answered++);
    const closed = once(socket, "close").catch(() => {});
    for (let more = dice(4) === 0 ? 4 : 1; more > 0 && !socket.destroyed; more--) {
      const bytes = requestOf(dice, `127.0.0.1:${port}`);
      asked++;
      const cut = dice(6) === 0 ? dice(bytes.length) : bytes.length;
      socket.write(bytes.subarray(0, cut));
      if (dice(10) === 0) socket.pause();
      if (cut < bytes.length || more > 1)
        await new Promise((resolve) => setTimeout(resolve, oneOf(dice, [0, 1, 5, 30])));
      if (cut < bytes.length) socket.write(bytes.subarray(cut));
    }
    const end = dice(10);
    if (end === 0) socket.destroy();
    else if (end === 1) socket.end();
    const quiet = new Promise((resolve) => setTimeout(resolve, 400));
    await Promise.race([
      closed,
      quiet,
      once(socket, "data")
        .then(() => new Promise((resolve) => setTimeout(resolve, dice(30))))
        .catch(() => {}),
    ]);
    socket.destroy();
  }
}

const measure = (): { worstMs: number; worstRss: number } =>
  JSON.parse(readFileSync(measured, "utf8")) as { worstMs: number; worstRss: number };

test("whatever agents ask and servers answer, the mesh goes on", async (t) => {
  const { agents } = await eventually("the agents", async () => {
    const status = await mesh.desk.status();
    return status.agents.every(({ phase }) => phase === "running") ? status : undefined;
  });
  assert.equal(agents.length, AGENTS.length);
  const quiet = await eventually("a measurement", async () => {
    try {
      return measure();
    } catch {
      return undefined;
    }
  });
  const until = performance.now() + huntMs;
  // A machine that is busy with other things has more time.
  const enough = (): boolean => asked > 300 && served > 50 && answered > 200;
  const goesOn = (): boolean => {
    const overMs = performance.now() - until;
    return mesh.errors() === "" && (overMs < 0 || (overMs < PATIENCE_MS && !enough()));
  };
  const dice = diceOf(seed + 1);
  const home = join(RUN_DIR, mesh.installation);
  const doors = readdirSync(home)
    .map((id) => join(home, id, "door.sock"))
    .filter((door) => existsSync(door));
  assert.equal(doors.length, AGENTS.length);
  // And somebody on the host without the desk's token.
  const work = [...doors, desk].flatMap((door) =>
    Array.from({ length: CONNECTIONS }, () => attack(door, diceOf(dice(2 ** 31)), goesOn)),
  );
  let worstMs = 0;
  let worstRss = 0;
  const over = new AbortController();
  const done = Promise.all(work).finally(() => over.abort());
  while (!over.signal.aborted && mesh.errors() === "") {
    await new Promise((resolve) => setTimeout(resolve, 150));
    try {
      const now = measure();
      worstMs = Math.max(worstMs, now.worstMs);
      worstRss = Math.max(worstRss, now.worstRss);
    } catch {
      // It is being written.
    }
  }
  await done;
  t.diagnostic(
    JSON.stringify({ seed, asked, answered, served, worstMs, growthMiB: (worstRss - quiet.worstRss) / 1024 ** 2 }),
  );
  assert.equal(mesh.errors(), "", "nothing was thrown that nobody caught");
  assert.ok(enough(), JSON.stringify({ asked, served, answered }));
  const faults: MeshEvent[] = [];
  for (let next = 0; ;) {
    const page = await mesh.desk.events(next, 0);
    faults.push(...page.events.filter(({ type }) => type === "mesh.fault"));
    if (page.events.length === 0 || page.next === next) break;
    next = page.next;
  }
  assert.deepEqual(faults, []);
  assert.ok(worstMs < TURN_CPU_MS_MAX, `${worstMs} ms in one turn of the loop`);
  assert.ok(worstRss - quiet.worstRss < GROWTH_BYTES_MAX, "it grew");
  assert.ok((await mesh.desk.status()).agents.every(({ phase }) => phase === "running"));
});
