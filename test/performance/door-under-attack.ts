/**
 * Round trips of one real sandboxed agent at its door while another sandbox spends all it can get of one resource: forks,
 * memory, processor, disk, log, connections. Quiet and attacked slices alternate in one run; the agent measures itself, and
 * each attacker answers with what it did. Goal: p99 within three times quiet. Tells each slice as it comes (some ten seconds an
 * attack and round), and prints the table of what it has also when it is ended early (SIGINT, SIGTERM). Run as root:
 * `node test/performance/door-under-attack.ts [rounds] [attack ...]`, such as `3 forks connections`; all of them when none is named.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { attackerPrelude, eventually, printed, startMesh } from "../fleet/running-mesh.ts";

const ROUNDS = Math.max(1, Number(process.argv[2] ?? 2));
const SLICE_MS = 3_000;
/** An attack begins before its slice and ends after it. */
const [LEAD_MS, TAIL_MS, REST_MS] = [700, 800, 700];

const ATTACKS = {
  forks: "fork bomb",
  memory: "memory bomb",
  processor: "processor spin",
  disk: "disk filler",
  log: "log flood",
  connections: "connection flood",
} as const;
type Attack = keyof typeof ATTACKS;
const named = process.argv.slice(3);
const attacks = (Object.keys(ATTACKS) as Attack[]).filter((name) => named.length === 0 || named.includes(name));

const asker = `
import http from "node:http";
import { ask, tell } from "./prelude.mjs";
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const one = () => new Promise((resolve, reject) => {
  const begin = performance.now();
  http.get({ socketPath: "/run/cordon/door.sock", path: "/v1/self", agent }, (response) => response.resume().on("end", () => (response.statusCode === 200 ? resolve(performance.now() - begin) : reject(new Error(String(response.statusCode)))))).on("error", reject);
});
for (;;) {
  const { status, text } = await ask("GET", "/v1/inbox?wait_ms=20000");
  if (status !== 200) continue;
  const delivery = JSON.parse(text);
  const { slice, ms } = JSON.parse(delivery.body);
  const times = [];
  for (const end = performance.now() + ms; performance.now() < end; await new Promise((resolve) => setTimeout(resolve, 16))) times.push(Math.round((await one()) * 1000));
  await ask("POST", "/v1/inbox/" + delivery.id + "/done", {});
  tell("slice", { slice, times });
}
`;

/** Its argument names the resource. Each message is one attack; the answer is how much of it was done. */
const attacker = `
import fs from "node:fs";
import net from "node:net";
import { spawn } from "node:child_process";
import { Worker } from "node:worker_threads";
import { ask } from "./prelude.mjs";
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const node = (code) => new Promise((resolve) => spawn("/bin/node", ["-e", code], { stdio: "inherit" }).on("error", resolve).on("exit", resolve));
const attacks = {
  async forks(end) {
    let count = 0;
    const lane = async () => { while (Date.now() < end) { count++; await node("setTimeout(() => {}, 1000)"); } };
    await Promise.all(Array.from({ length: 300 }, lane));
    return count;
  },
  async memory(end) {
    let count = 0;
    while (Date.now() < end) { count++; await node("const keep = []; for (;;) keep.push(Buffer.alloc(16e6, 1));"); }
    return count;
  },
  async processor(end) {
    const threads = Array.from({ length: 8 }, () => new Worker("for (;;);", { eval: true }));
    await pause(end - Date.now());
    await Promise.all(threads.map((thread) => thread.terminate()));
    return threads.length;
  },
  async disk(end) {
    let count = 0;
    const chunk = Buffer.alloc(1 << 20, 1);
    while (Date.now() < end) {
      const fd = fs.openSync("/data/fill", "w");
      try { while (Date.now() < end) { count += fs.writeSync(fd, chunk); await pause(0); } } catch {}
      try { fs.fsyncSync(fd); } catch {}
      fs.closeSync(fd);
      fs.rmSync("/data/fill");
    }
    return count;
  },
  async log(end) {
    let count = 0;
    const chunk = ("x".repeat(99) + "\\n").repeat(600);
    while (Date.now() < end) { try { count += fs.writeSync(1, chunk); } catch {} await pause(0); }
    return count;
  },
  async connections(end) {
    let count = 0;
    const hold = () => { count++; const socket = net.connect("/run/cordon/door.sock").on("error", () => {}); socket.resume().write("GET /v1/self HTTP/1.1\\r\\nX-A: "); return socket; };
    const slow = async () => { while (Date.now() < end) { const held = Array.from({ length: 200 }, hold); await pause(500); for (const socket of held) socket.destroy(); } };
    const lane = async () => { while (Date.now() < end) { count++; await ask("POST", "/v1/tools/board.write", { key: "other/a", value: "x" }); } };
    await Promise.all([slow(), ...Array.from({ length: 32 }, lane)]);
    return count;
  },
};
const attack = attacks[process.argv[2]];
for (;;) {
  const { status, text } = await ask("GET", "/v1/inbox?wait_ms=20000");
  if (status !== 200) continue;
  const delivery = JSON.parse(text);
  const count = await attack(Date.now() + JSON.parse(delivery.body).ms);
  // At the end of a flood the door may still be turning it away.
  for (let sent = 0; sent !== 200; ) { sent = (await ask("POST", "/v1/inbox/" + delivery.id + "/reply", { body: String(count) })).status; if (sent !== 200) await pause(200); if (sent === 404 || sent === 409) break; }
}
`;

const mesh = await startMesh({
  "cordon.yaml": `
version: 1
fleet: bench
defaults: { model: rehearsal/echo, budget: { day: { usd: 1.00 } } }
agents:
  asker: { command: [/bin/node, /code/asker.mjs], code: code, sandbox: { cpus: 0.5 } }
${attacks.map((name) => `  ${name}: { command: [/bin/node, /code/attacker.mjs, ${name}], code: code }`).join("\n")}
`,
  "code/prelude.mjs": attackerPrelude,
  "code/asker.mjs": asker,
  "code/attacker.mjs": attacker,
});

const times: Record<Attack | "quiet", number[]> = Object.create(null);
const done: Record<Attack, number> = Object.create(null);
for (const kind of [...attacks, "quiet" as const]) times[kind] = [];
for (const kind of attacks) done[kind] = 0;

let slices = 0;
async function slice(): Promise<readonly number[]> {
  const slice = ++slices;
  await mesh.desk.send("asker", JSON.stringify({ slice, ms: SLICE_MS }));
  const found = await eventually(
    `slice ${slice}`,
    async () => (await printed(mesh, "asker", "slice")).find((line) => line["slice"] === slice),
    60_000,
  );
  return found["times"] as number[];
}

async function attacked(kind: Attack): Promise<readonly number[]> {
  const ms = LEAD_MS + SLICE_MS + TAIL_MS;
  const { conversation } = await mesh.desk.send(kind, JSON.stringify({ ms }));
  await sleep(LEAD_MS);
  const found = await slice();
  const answer = await eventually(`the end of \`${kind}\``, () => mesh.desk.reply(conversation, 0, 20_000), 90_000);
  done[kind] += Number(answer.body);
  await sleep(REST_MS);
  return found;
}

let early = false;
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void (early = true));
const p99 = (list: readonly number[]): string =>
  ((list.toSorted((a, b) => a - b)[Math.floor(list.length * 0.99)] ?? Number.NaN) / 1_000).toFixed(1);
const from = performance.now();
try {
  // Warms up, and lets the start bursts end.
  await slice();
  for (let round = 0; round < ROUNDS; round++)
    for (const kind of attacks) {
      if (early) break;
      const [quiet, under] = [await slice(), await attacked(kind)];
      times.quiet.push(...quiet);
      times[kind].push(...under);
      const seconds = ((performance.now() - from) / 1_000).toFixed(0);
      const told = `p99 ${p99(quiet)} ms quiet, ${p99(under)} ms under it`;
      console.error(`${seconds} s: round ${round + 1} of ${ROUNDS}, ${ATTACKS[kind]}: ${told}`);
    }
} finally {
  await mesh.stop();
}

const of = (list: readonly number[]) => {
  const sorted = list.toSorted((a, b) => a - b);
  const at = (share: number): number => (sorted[Math.floor(sorted.length * share)] ?? Number.NaN) / 1_000;
  return { requests: sorted.length, p50Ms: at(0.5), p99Ms: at(0.99) };
};
const quiet = of(times.quiet);
const row = (title: string, { p50Ms, p99Ms }: typeof quiet, count?: number): string => {
  const figures = [
    p50Ms.toFixed(3),
    p99Ms.toFixed(3),
    (p50Ms / quiet.p50Ms).toFixed(2),
    (p99Ms / quiet.p99Ms).toFixed(2),
  ];
  return `${title.padEnd(20)}${figures.map((figure) => figure.padStart(9)).join("")}${count === undefined ? "" : String(count).padStart(14)}`;
};
console.log("GET /v1/self           p50 ms   p99 ms  × p50    × p99     what was done");
console.log(row("quiet", quiet));
for (const kind of attacks) console.log(row(ATTACKS[kind], of(times[kind]), done[kind]));
console.log(
  JSON.stringify({
    rounds: ROUNDS,
    quiet,
    ...Object.fromEntries(attacks.map((kind) => [kind, of(times[kind])])),
    done,
  }),
);
