/**
 * Round trips of one real sandboxed agent at its door, quiet and while another sandbox floods, alternating in one run
 * (requests, held connections, slow heads). The agent measures itself. Goal: p99 under flood within three times quiet.
 * Run as root: `node test/performance/door-under-flood.ts [rounds]`
 */
import { attackerPrelude, eventually, printed, startMesh } from "../fleet/running-mesh.ts";

const ROUNDS = Math.max(2, Number(process.argv[2] ?? 4));

/** Each delivery is a slice of time; the answer is what a request took, in microseconds. */
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

const flooder = `
import net from "node:net";
import { ask } from "./prelude.mjs";
const hold = (count, bytes) => Array.from({ length: count }, () => { const socket = net.connect("/run/cordon/door.sock").on("error", () => {}); socket.resume().write(bytes); return socket; });
for (;;) {
  const { status, text } = await ask("GET", "/v1/inbox?wait_ms=20000");
  if (status !== 200) continue;
  const delivery = JSON.parse(text);
  await ask("POST", "/v1/inbox/" + delivery.id + "/done", {});
  const end = performance.now() + JSON.parse(delivery.body).ms;
  const lane = async () => { while (performance.now() < end) await ask("POST", "/v1/tools/board.write", { key: "other/a", value: "x" }); };
  const slow = async () => { while (performance.now() < end) { const held = hold(200, "GET /v1/self HTTP/1.1\\r\\nX-A: "); await new Promise((resolve) => setTimeout(resolve, 500)); for (const socket of held) socket.destroy(); } };
  await Promise.all([slow(), ...Array.from({ length: 32 }, lane)]);
}
`;

const mesh = await startMesh({
  "cordon.yaml": `
version: 1
fleet: bench
defaults: { model: rehearsal/echo, budget: { day: { usd: 1.00 } } }
agents:
  asker: { command: [/bin/node, /code/asker.mjs], code: code, sandbox: { cpus: 0.5 } }
  flooder: { command: [/bin/node, /code/flooder.mjs], code: code }
`,
  "code/prelude.mjs": attackerPrelude,
  "code/asker.mjs": asker,
  "code/flooder.mjs": flooder,
});

const SLICE_MS = 3_000;
const times = { quiet: [] as number[], flood: [] as number[] };
try {
  for (let slice = 0; slice <= 2 * ROUNDS; slice++) {
    const kind = slice % 2 === 0 ? "flood" : "quiet";
    if (kind === "flood") {
      await mesh.desk.send("flooder", JSON.stringify({ ms: SLICE_MS + 1_000 }));
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
    await mesh.desk.send("asker", JSON.stringify({ slice, ms: SLICE_MS }));
    const found = await eventually(`slice ${slice}`, async () =>
      (await printed(mesh, "asker", "slice")).find((line) => line["slice"] === slice),
    );
    // The first slice warms up. Of the flood nothing may be left in a quiet one.
    if (slice > 0) times[kind].push(...(found["times"] as number[]));
    await new Promise((resolve) => setTimeout(resolve, 1_500));
  }
} finally {
  await mesh.stop();
}

const of = (list: readonly number[]) => {
  const sorted = list.toSorted((a, b) => a - b);
  const at = (share: number): number => (sorted[Math.floor(sorted.length * share)] ?? Number.NaN) / 1_000;
  return { requests: sorted.length, p50Ms: at(0.5), p99Ms: at(0.99) };
};
const result = { quiet: of(times.quiet), flood: of(times.flood) };
const ratios = {
  p50: result.flood.p50Ms / result.quiet.p50Ms,
  p99: result.flood.p99Ms / result.quiet.p99Ms,
};
console.log("GET /v1/self           p50 ms   p99 ms");
for (const [name, { p50Ms, p99Ms }] of Object.entries(result))
  console.log(`${name.padEnd(20)} ${p50Ms.toFixed(3).padStart(8)} ${p99Ms.toFixed(3).padStart(8)}`);
console.log(`${"ratio".padEnd(20)} ${ratios.p50.toFixed(2).padStart(8)} ${ratios.p99.toFixed(2).padStart(8)}`);
console.log(JSON.stringify({ rounds: ROUNDS, ...result, ratios }));
