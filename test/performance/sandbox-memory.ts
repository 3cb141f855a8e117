/**
 * Proportional memory (PSS) of live idle agents in a real mesh: of each sandbox alone, and with its share of the mesh and of
 * what the mesh has started; how long all of them take to start and to stop, and what is left on the machine then: nothing, or it
 * ends with an error. Prints a table and JSON. Run as root:
 * `node test/performance/sandbox-memory.ts [agents ...]`, for example `1 10 200`.
 */
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { leftoversOf } from "../contract/sandbox-fixture.ts";
import { startMesh, type MeshFixture } from "../fleet/running-mesh.ts";

const given = process.argv.slice(2).map(Number);
const counts = given.length > 0 ? given : [1, 10, 100];
/** Until the memory that a start has used is given back. */
const SETTLE_MS = 8_000;

const pssOf = (pid: string): number =>
  Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1] ?? 0) / 1024;
const parentOf = (pid: string): number =>
  Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0);

/** MiB: of all processes in sandboxes of the mesh, and of the mesh with its helpers. */
function measured(mesh: MeshFixture): {
  readonly sandboxes: number;
  readonly mesh: number;
  readonly processes: number;
} {
  let [sandboxes, own, processes] = [0, 0, 0];
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      if (readFileSync(`/proc/${pid}/cgroup`, "utf8").includes(`/cordon-${mesh.installation}/`)) {
        sandboxes += pssOf(pid);
        processes++;
      } else if (Number(pid) === mesh.pid || parentOf(pid) === mesh.pid) own += pssOf(pid);
    } catch {
      // It ended in between.
    }
  }
  return { sandboxes, mesh: own, processes };
}

console.log("agents   sandbox each   with the mesh's share   mesh (MiB)   start (s)   stop (s)   left");
const rows: object[] = [];
for (const agents of counts) {
  const names = Array.from({ length: agents }, (_, n) => `  a${n}: { instructions: calm.md }`);
  const from = performance.now();
  const mesh = await startMesh({
    "cordon.yaml": `
version: 1
fleet: many
defaults: { model: rehearsal/echo, sandbox: { disk: 4MiB } }
agents:
${names.join("\n")}
`,
    "calm.md": "Answer briefly.",
  });
  let [row, told]: [object, string] = [{}, ""];
  try {
    // Seldom: to say how they all are is work for the mesh.
    for (let up = 0; up < agents; await sleep(1_000 + agents * 4)) {
      if (performance.now() - from > agents * 5_000 + 60_000) throw new Error(`${up} of ${agents} run`);
      const { agents: all } = await mesh.desk.status();
      const failed = all.find(({ phase }) => phase === "failed");
      if (failed) throw new Error(`\`${failed.name}\` has failed: ${failed.reason}`);
      up = all.filter(({ phase }) => phase === "running").length;
    }
    const startS = (performance.now() - from) / 1_000;
    await sleep(SETTLE_MS);
    const found = measured(mesh);
    if (found.processes < agents) throw new Error(`${found.processes} processes of ${agents} agents`);
    const [each, shared] = [found.sandboxes / agents, (found.sandboxes + found.mesh) / agents];
    row = { agents, each, shared, meshMiB: found.mesh, startS };
    const cells = [
      each.toFixed(1).padStart(15),
      shared.toFixed(1).padStart(24),
      found.mesh.toFixed(0).padStart(13),
      startS.toFixed(0).padStart(12),
    ];
    told = `${String(agents).padStart(6)}${cells.join("")}`;
  } finally {
    const stopping = performance.now();
    const code = await mesh.stop();
    const stopS = (performance.now() - stopping) / 1_000;
    const left = leftoversOf(mesh.installation, mesh.state);
    rows.push({ ...row, stopS, code, left: left.length });
    console.log(`${told}${stopS.toFixed(0).padStart(11)}${String(left.length).padStart(7)}`);
    if (code !== 0 || left.length > 0) {
      console.error(
        `the mesh ended with ${code}; left: ${left.slice(0, 20).join(", ")}\n${mesh.errors().slice(-2_000)}`,
      );
      process.exitCode = 1;
    }
  }
}
console.log(JSON.stringify(rows));
