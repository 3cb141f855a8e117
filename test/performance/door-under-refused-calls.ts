/**
 * The door of one sandbox while others make refused system calls without end, which somebody is told of: quiet and flooded slices in
 * turn, and what the watcher over such calls costs. Run as root: `node test/performance/door-under-refused-calls.ts [attackers]`
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { systemClock as clock } from "../../lib/clock.ts";
import { openHost, projectDir, specOf, startWatched, testDoor, type Watched } from "../contract/sandbox-fixture.ts";

const ROUNDS = 6;
const SLICE_MS = 4_000;
const SETTLE_MS = 1_500;
const PATIENCE_MS = 60_000;
/** Of the kernel's clock ticks, 100 a second. */
const TICK_MS = 10;

const attackers = Math.max(1, Number(process.argv[2] ?? 1));
const host = await openHost();
const unseen = await host.backend.deniedCallsUnseen?.("container");
if (unseen !== null) throw new Error(`nobody is told of refused calls here: ${unseen}`);

const client = `import http from "node:http"; const agent = new http.Agent({ keepAlive: true });
  const ask = () => new Promise((done) => http.get({ agent, socketPath: "/run/cordon/door.sock", path: "/" }, (answer) => answer.resume().once("end", done)));
  for (;;) { const begin = performance.now(); await ask(); console.log((performance.now() - begin).toFixed(3)); await new Promise((done) => setTimeout(done, 10)); }`;
const flooder = `import fs from "node:fs"; import { spawn } from "node:child_process";
  import { rawCalls } from "/code/elf.js"; import { forbiddenCalls, forThisMachine } from "/code/raw-calls.js";
  const mount = forThisMachine(forbiddenCalls.mount).slice(0, 1);
  fs.writeFileSync("/data/raw", rawCalls(Array.from({ length: 25_000 }, () => mount)), { mode: 0o755 });
  for (let n = 0; n < 8; n++) spawn("/data/raw"); console.log("up"); setInterval(() => {}, 1e6);`;

const neighbour = await startWatched(host.backend, specOf(client, { door: testDoor() }));
const watcher = readdirSync("/proc").find((name) => {
  if (!/^\d+$/.test(name)) return false;
  try {
    const ours = new RegExp(`^PPid:\\s*${process.pid}$`, "m").test(readFileSync(`/proc/${name}/status`, "latin1"));
    return ours && readFileSync(`/proc/${name}/cmdline`).includes("denial-watcher.pl");
  } catch {
    return false;
  }
});
const processorMs = (): number => {
  const fields = readFileSync(`/proc/${watcher}/stat`, "latin1").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
};

async function attack(): Promise<Watched> {
  const run = await startWatched(host.backend, specOf(flooder, { codeFolder: join(projectDir, "mesh/sandbox/probe") }));
  await run.until((_, text) => text.includes("up"), PATIENCE_MS);
  return run;
}

const trips: Record<"quiet" | "flooded", number[]> = { quiet: [], flooded: [] };
const cost = { processorMs: 0, wallMs: 0, calls: 0, events: 0 };
for (let round = 0; round < ROUNDS; round++)
  for (const slice of ["quiet", "flooded"] as const) {
    const runs = slice === "flooded" ? await Promise.all(Array.from({ length: attackers }, attack)) : [];
    await clock.sleep(SETTLE_MS);
    const [from, processor, begin] = [neighbour.text().length, processorMs(), clock.monotonicMs()];
    await clock.sleep(SLICE_MS);
    trips[slice].push(...neighbour.text().slice(from).split("\n").slice(1, -1).map(Number));
    if (slice === "flooded") {
      cost.processorMs += processorMs() - processor;
      cost.wallMs += clock.monotonicMs() - begin;
    }
    for (const run of runs) {
      await run.sandbox.stop(0);
      for (const event of run.events) {
        if (event.type !== "syscall_denied") continue;
        cost.calls += event.count;
        cost.events++;
      }
    }
  }
await neighbour.sandbox.stop(0);
await host.close();

const at = (values: readonly number[], share: number): number =>
  values.toSorted((one, two) => one - two)[Math.floor(values.length * share)] ?? 0;
for (const slice of ["quiet", "flooded"] as const)
  console.log(
    `${slice.padEnd(8)} ${trips[slice].length} round trips, p50 ${at(trips[slice], 0.5).toFixed(2)} ms, p99 ${at(trips[slice], 0.99).toFixed(2)} ms`,
  );
const ratio = (share: number): string => (at(trips.flooded, share) / at(trips.quiet, share)).toFixed(2);
console.log(`flooded against quiet: p50 ${ratio(0.5)} ×, p99 ${ratio(0.99)} ×, ${attackers} attackers`);
const share = ((100 * cost.processorMs) / cost.wallMs).toFixed(2);
console.log(`the watcher: ${share} % of a core; ${cost.calls} calls were answered and told in ${cost.events} events`);
