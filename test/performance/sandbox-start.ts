/**
 * Start of a sandbox against bare `runc run` of the same node binary and script, interleaved. Prints a table and JSON.
 * Run as root: `node test/performance/sandbox-start.ts [rounds]`
 */
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findRuntime } from "../../mesh/sandbox/runtime.ts";
import { openHost, specOf } from "../contract/sandbox-fixture.ts";

const rounds = Math.max(15, Number(process.argv[2] ?? 20));
const SCRIPT = `import http from "node:http"; console.log("up"); http.get({ socketPath: "/run/cordon/door.sock", path: "/" }, (r) => r.resume()).on("error", () => {}); setInterval(() => {}, 1e6);`;

const host = await openHost();
const runtime = (await findRuntime("")) ?? "runc";

interface Sample {
  readonly lineMs: number;
  readonly doorMs: number;
}

async function fenced(volume: string): Promise<Sample> {
  const server = createServer((_, response) => response.end());
  const asked = new Promise<number>((resolve) => server.once("request", () => resolve(performance.now())));
  const door = {
    listen: (path: string) => new Promise<void>((resolve) => server.listen(path, () => resolve())),
    close: async () => {
      server.close();
      server.closeAllConnections();
    },
  };
  const t0 = performance.now();
  const sandbox = await host.backend.start(specOf(SCRIPT, { door, volume }));
  const line = await new Promise<number>((resolve) => sandbox.output.once("data", () => resolve(performance.now())));
  const sample = { lineMs: line - t0, doorMs: (await asked) - t0 };
  sandbox.output.resume();
  await sandbox.stop(0);
  return sample;
}

/** The runtime's own default bundle (its namespaces, no user namespace, no filter), same root file system and script. */
const bareDir = mkdtempSync(join(tmpdir(), "cordon-bare-"));
spawnSync(runtime, ["spec", "--bundle", bareDir]);
mkdirSync(join(bareDir, "door"));

async function bare(n: number): Promise<Sample> {
  const socket = join(bareDir, `door/${n}.sock`);
  const server = createServer((_, response) => response.end());
  const asked = new Promise<number>((resolve) => server.once("request", () => resolve(performance.now())));
  await new Promise<void>((resolve) => server.listen(socket, () => resolve()));
  const spec = JSON.parse(readFileSync(join(bareDir, "config.json"), "utf8"));
  spec.root = { path: host.rootfs, readonly: true };
  spec.process = { ...spec.process, terminal: false, args: ["/bin/node", "--input-type=module", "--eval", SCRIPT] };
  const doorMount = { destination: "/run/cordon/door.sock", type: "bind", source: socket, options: ["bind"] };
  spec.mounts = [
    ...spec.mounts.filter((m: { destination: string }) => m.destination !== doorMount.destination),
    doorMount,
  ];
  writeFileSync(join(bareDir, "config.json"), JSON.stringify(spec));
  const root = join(bareDir, "state");
  const t0 = performance.now();
  const child = spawn(runtime, ["--root", root, "run", "--bundle", bareDir, `bare-${process.pid}-${n}`], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const line = await new Promise<number>((resolve) => child.stdout.once("data", () => resolve(performance.now())));
  const sample = { lineMs: line - t0, doorMs: (await asked) - t0 };
  spawnSync(runtime, ["--root", root, "delete", "--force", `bare-${process.pid}-${n}`]);
  await new Promise((resolve) => (child.exitCode === null ? child.once("exit", resolve) : resolve(null)));
  server.close();
  server.closeAllConnections();
  return sample;
}

const samples = { bare: [] as Sample[], first: [] as Sample[], again: [] as Sample[] };
await bare(-1);
await fenced("warm");
for (let n = 0; n < rounds; n++) {
  samples.bare.push(await bare(n));
  samples.first.push(await fenced(`new-${n}`));
  samples.again.push(await fenced("warm"));
}
rmSync(bareDir, { recursive: true, force: true });
await host.close();

const p = (values: readonly number[], q: number): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length * q)] ?? Number.NaN;
const row = (list: readonly Sample[]) => {
  const [line, door] = [list.map((s) => s.lineMs), list.map((s) => s.doorMs)];
  return { lineP50: p(line, 0.5), lineP95: p(line, 0.95), doorP50: p(door, 0.5), doorP95: p(door, 0.95) };
};
const result = { rounds, bare: row(samples.bare), first: row(samples.first), again: row(samples.again) };
const ratio = (of: typeof result.bare) => ({
  line: of.lineP50 / result.bare.lineP50,
  door: of.doorP50 / result.bare.doorP50,
});
const cells = (r: typeof result.bare): string =>
  Object.values(r)
    .map((ms) => ms.toFixed(1).padStart(9))
    .join("");
console.log(`${"ms".padEnd(34)} line p50 line p95 door p50 door p95`);
console.log(`${"bare runc run".padEnd(34)}${cells(result.bare)}`);
console.log(
  `${"sandbox, new volume".padEnd(34)}${cells(result.first)}   ratio ${ratio(result.first).line.toFixed(2)} / ${ratio(result.first).door.toFixed(2)}`,
);
console.log(
  `${"sandbox, its volume stands".padEnd(34)}${cells(result.again)}   ratio ${ratio(result.again).line.toFixed(2)} / ${ratio(result.again).door.toFixed(2)}`,
);
console.log(JSON.stringify({ ...result, ratioFirst: ratio(result.first), ratioAgain: ratio(result.again) }));
