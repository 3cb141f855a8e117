/**
 * Waking one of many hibernated agents, message to answer, beside bare `runc run` of the same node in the same run; and
 * what it costs to have them: start of the mesh and its memory. Run as root:
 * `node test/performance/hibernation.ts [agents] [rounds]`
 */
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findRuntime } from "../../mesh/sandbox/runtime.ts";
import { openHost } from "../contract/sandbox-fixture.ts";
import { eventually, startMesh, type MeshFixture } from "../fleet/running-mesh.ts";

const agents = Number(process.argv[2] ?? 10_000);
const rounds = Number(process.argv[3] ?? 40);

const name = (n: number): string => `a${n}`;
const files = {
  "cordon.yaml": `
version: 1
fleet: many
awake: 16
defaults: { model: rehearsal/echo, sandbox: { disk: 4MiB, cpus: 1, hibernate: 1s } }
agents:
${Array.from({ length: agents }, (_, n) => `  ${name(n)}: { instructions: calm.md }`).join("\n")}
`,
  "calm.md": "Answer briefly.",
};

const host = await openHost();
const runtime = (await findRuntime("")) ?? "runc";
const bareDir = mkdtempSync(join(tmpdir(), "cordon-bare-"));
spawnSync(runtime, ["spec", "--bundle", bareDir]);
mkdirSync(join(bareDir, "door"));

/** From the command to the first line of the same node. */
async function bare(n: number): Promise<number> {
  const spec = JSON.parse(readFileSync(join(bareDir, "config.json"), "utf8"));
  spec.root = { path: host.rootfs, readonly: true };
  spec.process = { ...spec.process, terminal: false, args: ["/bin/node", "--eval", "console.log('up')"] };
  writeFileSync(join(bareDir, "config.json"), JSON.stringify(spec));
  const root = join(bareDir, "state");
  const from = performance.now();
  const child = spawn(runtime, ["--root", root, "run", "--bundle", bareDir, `bare-${process.pid}-${n}`], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ms = await new Promise<number>((resolve) => child.stdout.once("data", () => resolve(performance.now() - from)));
  if (child.exitCode === null) await new Promise((resolve) => child.once("exit", resolve));
  spawnSync(runtime, ["--root", root, "delete", "--force", `bare-${process.pid}-${n}`]);
  return ms;
}

async function wake(mesh: MeshFixture, agent: string): Promise<number> {
  const from = performance.now();
  const { conversation } = await mesh.desk.send(agent, "wake up");
  await eventually("the answer", () => mesh.desk.reply(conversation, 0, 20_000), 60_000);
  return performance.now() - from;
}

const p = (values: readonly number[], q: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * q))] ?? Number.NaN;
const line = (title: string, values: readonly number[]): void =>
  console.log(`${title.padEnd(52)}${p(values, 0.5).toFixed(0).padStart(8)}${p(values, 0.99).toFixed(0).padStart(8)}`);

const from = performance.now();
const mesh = await startMesh(files);
const firstStartMs = performance.now() - from;
try {
  const samples = { bare: [] as number[], fresh: [] as number[], again: [] as number[] };
  await bare(-1);
  await wake(mesh, name(0));
  for (let n = 0; n < rounds; n++) {
    const agent = name(1 + Math.floor((n * (agents - 1)) / rounds));
    samples.bare.push(await bare(n));
    samples.fresh.push(await wake(mesh, agent));
    await eventually("asleep again", async () => {
      const found = (await mesh.desk.status()).agents.find((each) => each.name === agent);
      return found?.phase === "asleep" || undefined;
    });
    samples.again.push(await wake(mesh, agent));
  }
  const rssMb = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${mesh.pid}/status`, "utf8"))?.[1]) / 1024;
  const stormFrom = performance.now();
  const storm = await Promise.all(Array.from({ length: Math.min(50, agents) }, (_, n) => wake(mesh, name(n))));
  const stormMs = performance.now() - stormFrom;
  console.log(`${"milliseconds".padEnd(52)}     p50     p99`);
  line("bare runc run, to the first line", samples.bare);
  line(`message to answer, first wake, ${agents} registered`, samples.fresh);
  line("message to answer, its volume stands", samples.again);
  line(`each of ${storm.length} woken at once (${stormMs.toFixed(0)} ms for all)`, storm);
  console.log(`mesh with ${agents} agents: first start ${firstStartMs.toFixed(0)} ms, ${rssMb.toFixed(0)} MiB`);
  console.log(
    JSON.stringify({
      ...{ agents, rounds, firstStartMs, rssMb, stormMs },
      bareP50: p(samples.bare, 0.5),
      wakeP50: p(samples.again, 0.5),
      wakeP99: p(samples.again, 0.99),
      ratio: p(samples.again, 0.5) / p(samples.bare, 0.5),
    }),
  );
} finally {
  await mesh.stop();
  rmSync(bareDir, { recursive: true, force: true });
  await host.close();
}
