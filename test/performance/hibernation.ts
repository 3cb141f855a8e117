/**
 * Waking one of many hibernated agents beside bare `runc run` of the same node in the same run, measured twice: from the message
 * on disk to the first request at the door of who was woken, as the mesh's own events tell it (in whole milliseconds), and from the
 * message sent to its answer, a whole turn with its model call and what both ends of the desk take. Then what it
 * costs to have them: start of the mesh and its memory; and what a storm of wake-ups does to an agent that is awake, which
 * measures its own door, quiet and in the storm. Run as root: `node test/performance/hibernation.ts [agents] [rounds] [storm]`
 */
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findRuntime } from "../../mesh/sandbox/runtime.ts";
import { openHost } from "../contract/sandbox-fixture.ts";
import { attackerPrelude, eventually, printed, startMesh, type MeshFixture } from "../fleet/running-mesh.ts";

/** Besides the one that watches. */
const agents = Number(process.argv[2] ?? 10_000) - 1;
const rounds = Number(process.argv[3] ?? 40);
const stormSize = Math.min(agents, Number(process.argv[4] ?? 100));

/** Prints what its last requests took, in microseconds, twice a second. */
const watcher = `
import http from "node:http";
import { tell } from "./prelude.mjs";
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const one = () => new Promise((resolve) => {
  const begin = performance.now();
  http.get({ socketPath: "/run/cordon/door.sock", path: "/v1/self", agent }, (response) => response.resume().on("end", () => resolve(performance.now() - begin)));
});
for (;;) {
  const times = [];
  for (const end = performance.now() + 500; performance.now() < end; await new Promise((resolve) => setTimeout(resolve, 20))) times.push(Math.round((await one()) * 1000));
  tell("times", { at: Date.now(), times });
}
`;

const name = (n: number): string => `a${n}`;
const files = {
  "cordon.yaml": `
version: 1
fleet: many
awake: 16
defaults: { model: rehearsal/echo, sandbox: { disk: 4MiB, cpus: 1, hibernate: 1s } }
agents:
${Array.from({ length: agents }, (_, n) => `  ${name(n)}: { instructions: calm.md }`).join("\n")}
  watcher: { command: [/bin/node, /code/watcher.mjs], code: code, sandbox: { cpus: 0.5, hibernate: 24h } }
`,
  "calm.md": "Answer briefly.",
  "code/prelude.mjs": attackerPrelude,
  "code/watcher.mjs": watcher,
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

/** Does `work` for each of 0 to `count`, 32 at a time. */
async function inLanes(count: number, work: (n: number) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: 32 }, lane));
}

interface Wake {
  /** From the message, accepted and on disk, to the first request at the door. */
  readonly doorMs: number;
  readonly answerMs: number;
}

let eventsSeen = 0;
async function wake(mesh: MeshFixture, agent: string): Promise<Wake> {
  const from = performance.now();
  const { conversation } = await mesh.desk.send(agent, "wake up");
  await eventually("the answer", () => mesh.desk.reply(conversation, 0, 20_000), 60_000);
  const answerMs = performance.now() - from;
  const at = new Map<string, number>();
  for (;;) {
    const { events } = await mesh.desk.events(eventsSeen, 0);
    for (const event of events) if (event.agent === agent) at.set(event.type, event.atMs);
    eventsSeen = events.at(-1)?.seq ?? eventsSeen;
    if (events.length === 0) break;
  }
  return { doorMs: (at.get("sandbox.awake") ?? Number.NaN) - (at.get("message.posted") ?? Number.NaN), answerMs };
}

/** Of quiet before the storm. */
const QUIET_MS = 8_000;
const p = (values: readonly number[], q: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * q))] ?? Number.NaN;
const line = (title: string, values: readonly number[]): void =>
  console.log(`${title.padEnd(58)}${p(values, 0.5).toFixed(0).padStart(8)}${p(values, 0.99).toFixed(0).padStart(8)}`);

const from = performance.now();
const mesh = await startMesh(files);
const firstStartMs = performance.now() - from;
try {
  const samples = { bare: [] as number[], fresh: [] as Wake[], again: [] as Wake[] };
  await bare(-1);
  // It never takes its message, so it stays awake.
  await mesh.desk.send("watcher", "look");
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
  await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
  const stormAt = Date.now();
  const storm: number[] = [];
  // The desk takes few connections at a time: all are sent before the first answer is asked for.
  const sent: string[] = [];
  await inLanes(stormSize, async (n) => void sent.push((await mesh.desk.send(name(n), "wake up")).conversation));
  await inLanes(stormSize, async (n) => {
    await eventually("an answer", () => mesh.desk.reply(sent[n] ?? "", 0, 20_000), 900_000);
    storm.push(Date.now() - stormAt);
  });
  const [stormMs, stormEnd] = [Date.now() - stormAt, Date.now()];
  const told = (await printed(mesh, "watcher", "times")) as unknown as { at: number; times: number[] }[];
  const doorTimes = (from: number, to: number): number[] =>
    told.filter(({ at }) => at > from && at <= to).flatMap(({ times }) => times.map((us) => us / 1000));
  const [quiet, stormy] = [doorTimes(stormAt - QUIET_MS, stormAt), doorTimes(stormAt + 500, stormEnd)];
  console.log(`${"milliseconds".padEnd(58)}     p50     p99`);
  line("bare runc run, to the first line", samples.bare);
  const [door, answer] = [(w: Wake): number => w.doorMs, (w: Wake): number => w.answerMs];
  line(`message on disk to first door request, ${agents + 1} registered`, samples.fresh.map(door));
  line("  the same, its volume stands", samples.again.map(door));
  line("message sent to answer, first wake", samples.fresh.map(answer));
  line("  the same, its volume stands", samples.again.map(answer));
  line(`each of ${storm.length} woken at once (${stormMs.toFixed(0)} ms for all)`, storm);
  const fine = (list: readonly number[]): string => `${p(list, 0.5).toFixed(2)} / ${p(list, 0.99).toFixed(2)}`;
  console.log(
    `door of one awake, p50 / p99: quiet ${fine(quiet)}, in the storm ${fine(stormy)} (${stormy.length} requests)`,
  );
  console.log(`mesh with ${agents + 1} agents: first start ${firstStartMs.toFixed(0)} ms, ${rssMb.toFixed(0)} MiB`);
  console.log(
    JSON.stringify({
      ...{ agents: agents + 1, rounds, firstStartMs, rssMb, stormMs },
      bareP50: p(samples.bare, 0.5),
      bareP99: p(samples.bare, 0.99),
      doorP50: p(samples.again.map(door), 0.5),
      doorP99: p(samples.again.map(door), 0.99),
      doorRatio: p(samples.again.map(door), 0.5) / p(samples.bare, 0.5),
      wakeP50: p(samples.again.map(answer), 0.5),
      wakeP99: p(samples.again.map(answer), 0.99),
      ratio: p(samples.again.map(answer), 0.5) / p(samples.bare, 0.5),
      ...{
        stormSize,
        quietP99: p(quiet, 0.99),
        stormP99: p(stormy, 0.99),
        stormRatio: p(stormy, 0.99) / p(quiet, 0.99),
      },
    }),
  );
} finally {
  await mesh.stop();
  rmSync(bareDir, { recursive: true, force: true });
  await host.close();
}
