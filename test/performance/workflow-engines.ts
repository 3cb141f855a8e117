/**
 * Steps a second and milliseconds a step of durable no-op steps, a chain of 100 and a fan-out of 100: Cordon beside
 * LangGraph.js with its SQLite checkpointer and DBOS Transact on a PostgreSQL of its own, in turns in one run. A step that
 * stays in Cordon's store does not wait for the disk before it begins; one that could reach beyond it does, as every step
 * of the other engines does: that is "begins from disk" (see engines/cordon.ts). Beside it the same bytes are written and
 * synced by themselves, as often as the chain has steps: what a step costs at least where each one waits for the disk.
 * `policy` is what each engine's database says that it syncs.
 * Once before: `npm ci --ignore-scripts` in test/performance/engines; PostgreSQL from the system's packages.
 * Usage: node test/performance/workflow-engines.ts [--rounds N]
 */
import { closeSync, existsSync, fdatasyncSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { open as openCordon, type Engine } from "./engines/cordon.ts";
import { postgresVersion, startPostgres } from "../fleet/postgres.ts";

const STEPS = 100;
const { values } = parseArgs({ options: { rounds: { type: "string" } } });
const rounds = Number(values.rounds ?? 7);

/** Other engines have types of their own packages, which are there only where they were installed. */
type Open = (at: string, steps: number, durability: string) => Promise<Engine>;
const other = async (name: string): Promise<Open> =>
  ((await import(new URL(`./engines/${name}.mjs`, import.meta.url).href)) as { open: Open }).open;

if (!existsSync(new URL("./engines/node_modules", import.meta.url))) {
  console.error("the other engines are not installed: run `npm ci --ignore-scripts` in test/performance/engines");
  process.exit(1);
}
/** Bytes that this process has handed to the kernel, all its threads together. */
const written = (): number => Number(/^wchar: (\d+)$/m.exec(readFileSync("/proc/self/io", "utf8"))?.[1]);

/** Milliseconds a write of `bytes` with its sync, in a file that has its size. */
function syncedWrites(file: string, bytes: number): number {
  const content = Buffer.alloc(bytes, 1);
  const fd = openSync(file, "w");
  for (let n = 0; n < STEPS; n++) writeSync(fd, content, 0, bytes, n * bytes);
  fdatasyncSync(fd);
  const begin = performance.now();
  for (let n = 0; n < STEPS; n++) {
    writeSync(fd, content, 0, bytes, n * bytes);
    fdatasyncSync(fd);
  }
  const each = (performance.now() - begin) / STEPS;
  closeSync(fd);
  return each;
}

const folder = mkdtempSync(join(tmpdir(), "cordon-engines-"));
const postgres =
  postgresVersion === undefined
    ? undefined
    : await startPostgres({ superuser: "postgres", settings: ["listen_addresses="] });
if (!postgres) console.error("no PostgreSQL is installed: DBOS is left out");
const engines = new Map<string, Engine>();
const FROM_DISK = "Cordon, begins from disk";
const bytesAStep: number[] = [];
const syncMs: number[] = [];
const median = (list: readonly number[]): number => list.toSorted((a, b) => a - b)[list.length >> 1] ?? NaN;
try {
  const langgraph = await other("langgraph");
  engines.set("Cordon", await openCordon(join(folder, "inner"), STEPS, "inner"));
  engines.set("Cordon, a row each", await openCordon(join(folder, "row"), STEPS, "row"));
  engines.set(FROM_DISK, await openCordon(join(folder, "outer"), STEPS, "outer"));
  engines.set("LangGraph + SQLite", await langgraph(join(folder, "full.sqlite"), STEPS, "FULL"));
  engines.set("LangGraph, not synced", await langgraph(join(folder, "normal.sqlite"), STEPS, "NORMAL"));
  if (postgres) {
    const url = `postgresql://postgres@localhost/bench?host=${encodeURIComponent(postgres.folder)}`;
    const policy = ["fsync", "synchronous_commit"].map((name) => `${name} ${postgres.sql(`SHOW ${name}`)}`).join(", ");
    engines.set(`DBOS + PostgreSQL ${postgresVersion}`, await (await other("dbos"))(url, STEPS, policy));
  }

  const rates = new Map<string, number[]>();
  for (let round = 0; round <= rounds; round++) {
    for (const kind of ["chain", "fan"] as const) {
      for (const [name, engine] of engines) {
        const before = written();
        const begin = performance.now();
        await engine.run(kind);
        const rate = STEPS / ((performance.now() - begin) / 1_000);
        if (round > 0 && kind === "chain" && name === FROM_DISK) {
          bytesAStep.push((written() - before) / STEPS);
          syncMs.push(syncedWrites(join(folder, "raw"), Math.round(median(bytesAStep))));
        }
        // The first round warms up.
        if (round > 0) rates.set(`${kind} ${name}`, [...(rates.get(`${kind} ${name}`) ?? []), rate]);
      }
    }
  }
  const policies = new Map<string, string>();
  for (const [name, engine] of engines) policies.set(name, await engine.policy());
  const rows = (["chain", "fan"] as const).flatMap((kind) => {
    const own = median(rates.get(`${kind} Cordon`) ?? []);
    const outer = median(rates.get(`${kind} ${FROM_DISK}`) ?? []);
    return [...engines.keys()].map((engine) => {
      const rate = median(rates.get(`${kind} ${engine}`) ?? []);
      return {
        kind,
        engine,
        stepsPerSecond: Math.round(rate),
        msPerStep: Number((1_000 / rate).toFixed(3)),
        policy: policies.get(engine),
        cordonIsTimes: Number((own / rate).toFixed(2)),
        fromDiskIsTimes: Number((outer / rate).toFixed(2)),
      };
    });
  });
  console.table(rows);
  const bytes = Math.round(median(bytesAStep));
  const share = median(syncMs) / (1_000 / median(rates.get(`chain ${FROM_DISK}`) ?? []));
  console.log(
    `${bytes} bytes a step written and synced by themselves: ${median(syncMs).toFixed(3)} ms, ` +
      `${(share * 100).toFixed(0)} % of a step that begins from disk`,
  );
  console.log(
    JSON.stringify({ benchmark: "workflow-engines", steps: STEPS, rounds, rows, bytes, syncMs: median(syncMs), share }),
  );
} finally {
  for (const engine of engines.values()) await engine.close().catch((error: unknown) => console.error(error));
  await postgres?.stop();
  rmSync(folder, { recursive: true, force: true });
}
