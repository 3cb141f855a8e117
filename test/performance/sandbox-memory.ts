/**
 * Proportional memory (PSS) of an idle node agent, with 1 and with 10 sandboxes up. Prints a table and JSON.
 * Run as root: `node test/performance/sandbox-memory.ts`
 */
import { readdirSync, readFileSync } from "node:fs";
import type { Sandbox } from "../../mesh/sandbox/backend.ts";
import { openHost, specOf } from "../contract/sandbox-fixture.ts";

const SCRIPT = `import http from "node:http"; http.createServer().listen(7070, "127.0.0.1", () => console.log("up"));`;
const host = await openHost();

async function started(): Promise<Sandbox> {
  const sandbox = await host.backend.start(specOf(SCRIPT));
  await new Promise((resolve) => sandbox.output.once("data", resolve));
  sandbox.output.resume();
  return sandbox;
}

/** KiB over all processes whose group is the sandbox's. */
function pssOf(id: string): number {
  let sum = 0;
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      if (!readFileSync(`/proc/${pid}/cgroup`, "utf8").includes(`/${id}\n`)) continue;
      sum += Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1] ?? 0);
    } catch {
      // It ended in between.
    }
  }
  return sum;
}

const sandboxes: Sandbox[] = [];
const rows: { sandboxes: number; pssMiB: number; groupMiB: number }[] = [];
for (const count of [1, 10]) {
  while (sandboxes.length < count) sandboxes.push(await started());
  await new Promise((resolve) => setTimeout(resolve, 1500));
  const pss = sandboxes.map((sandbox) => pssOf(sandbox.id) / 1024);
  const groups = await Promise.all(sandboxes.map(async (sandbox) => (await sandbox.usage()).memoryBytes / 1024 ** 2));
  const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
  rows.push({ sandboxes: count, pssMiB: mean(pss), groupMiB: mean(groups) });
}
await Promise.all(sandboxes.map((sandbox) => sandbox.stop(0)));
await host.close();
console.log("sandboxes   PSS each   cgroup each (MiB)");
for (const row of rows)
  console.log(
    `${String(row.sandboxes).padStart(9)} ${row.pssMiB.toFixed(1).padStart(10)} ${row.groupMiB.toFixed(1).padStart(13)}`,
  );
console.log(JSON.stringify(rows));
