/**
 * Durable reservations a second (reserve + audit record in one transaction, 32 in flight) against raw
 * node:sqlite commits of one row under the same fsync policy, interleaved in one run; with ledgers of 0, 10⁵ and
 * 10⁶ rows (each as many totals, daily rows and audit records). Usage: node test/performance/ledger-reserve.ts
 * [--rows N,N,...] [--seconds S] [--in-flight N] [--settle]
 * `--settle`: each is settled, as calls are, with its record and the next transaction; else all stay open, which is the worst
 * that can be done to the tables.
 */
import { createSecretKey } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { parseArgs } from "node:util";
import { systemClock } from "../../lib/clock.ts";
import { randomId } from "../../lib/id.ts";
import { genesisHash, headMac, recordHash } from "../../mesh/audit/chain.ts";
import { createAudit } from "../../mesh/audit/create.ts";
import { createLedger } from "../../mesh/ledger/create.ts";
import type { Scope } from "../../mesh/ledger/ledger.ts";
import { openStore } from "../../mesh/store/open.ts";
import { statements } from "../../mesh/store/statements.ts";
import { auditKeys, noCaps } from "../simulation/world.ts";

const text = { type: "string" } as const;
const { values } = parseArgs({
  options: { rows: text, seconds: text, "in-flight": text, settle: { type: "boolean" } },
});
const IN_FLIGHT = Number(values["in-flight"] ?? 32);
const sizes = (values.rows ?? "0,100000,1000000").split(",").map(Number);
const sliceMs = Number(values.seconds ?? 1) * 1_000;
const ROUNDS = 5;
const keys = auditKeys();

interface Sample {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** The longest that one has waited. */
  readonly worstMs: number;
  readonly cpuUs: number;
}

/** Time on the processor is what other load on the machine disturbs least. */
function sample(latencies: number[], elapsedMs: number, { user, system }: NodeJS.CpuUsage): Sample {
  latencies.sort((a, b) => a - b);
  const at = (share: number): number => latencies[Math.floor(latencies.length * share)] ?? NaN;
  return {
    perSecond: (latencies.length / elapsedMs) * 1_000,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    worstMs: latencies.at(-1) ?? NaN,
    cpuUs: (user + system) / latencies.length,
  };
}

async function openSubject(path: string) {
  const store = await openStore({ path });
  const audit = createAudit({ store, clock: systemClock, ...keys });
  const ledger = await createLedger({
    store,
    audit,
    clock: systemClock,
    ids: randomId,
    caps: () => noCaps,
    timeZone: "UTC",
  });
  const slice = async (): Promise<Sample> => {
    const latencies: number[] = [];
    const cpu = process.cpuUsage();
    const begin = performance.now();
    const lane = async (n: number): Promise<void> => {
      const scopes: Scope[] = ["fleet", `agent:a${n % 20}`];
      while (performance.now() - begin < sliceMs) {
        const start = performance.now();
        const hold = ledger.reserve(scopes, { tokens: 1_000, microUsd: 15_000 }, "model");
        if (!hold.ok) throw new Error("no cap was set");
        await audit.record(
          { kind: "decision", subject: `agent:a${n % 20}`, detail: { hold: hold.value.id } },
          hold.value.writes,
        );
        latencies.push(performance.now() - start);
        if (!values.settle) continue;
        const usage = { inputTokens: 300, outputTokens: 50, cost: { tokens: 350, microUsd: 1_000 } };
        const { writes } = ledger.settle(hold.value, usage);
        const detail = { hold: hold.value.id };
        void audit.record({ kind: "model.settled", subject: `agent:a${n % 20}`, detail }, writes, "later");
      }
    };
    await Promise.all(Array.from({ length: IN_FLIGHT }, (_, n) => lane(n)));
    return sample(latencies, performance.now() - begin, process.cpuUsage(cpu));
  };
  const close = async (): Promise<void> => {
    await audit.close();
    await store.close();
  };
  return { slice, close };
}

function openRaw(path: string) {
  const db = new DatabaseSync(join(path, "raw.sqlite"));
  db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT)");
  const insert = db.prepare("INSERT INTO t (text) VALUES (?)");
  const slice = (): Sample => {
    const latencies: number[] = [];
    const cpu = process.cpuUsage();
    const begin = performance.now();
    while (performance.now() - begin < sliceMs) {
      const start = performance.now();
      insert.run("decision agent:a1 reserved 1000 tokens");
      latencies.push(performance.now() - start);
    }
    return sample(latencies, performance.now() - begin, process.cpuUsage(cpu));
  };
  return { slice, close: () => db.close() };
}

type Subject = Awaited<ReturnType<typeof openSubject>>;

/** A ledger with a past: totals of old days, daily rows, and a sealed chain of records. */
async function withPast(path: string, rows: number): Promise<void> {
  await (await openStore({ path })).close();
  const db = new DatabaseSync(join(path, "cordon.sqlite"));
  db.exec(`PRAGMA synchronous = OFF; BEGIN;
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${rows})
      INSERT INTO budget_total SELECT 'agent:a' || (i % 20), 'day', (i / 20) * 86400, i, 0, i, 0, i, 0, 0, 0 FROM n;
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${rows})
      INSERT INTO usage_day SELECT (i / 20) * 86400000, 'a' || (i % 20), 'model', '', 'red', '', 'key', 'list',
        '2020-01-01', (i / 20) * 86400000 + 86400000, i, 0, i, 0, 0, i, i FROM n`);
  const insert = db.prepare(statements["audit.insert"]);
  const detail = '{"hold":"hold_abcdefghijkmnpqrstuvwxyz"}';
  let hash = genesisHash;
  for (let seq = 1; seq <= rows; seq++) {
    hash = recordHash(hash, { seq, atMs: seq, kind: "decision", subject: "agent:a1", detail });
    insert.run(seq, seq, "decision", "agent:a1", detail, hash);
  }
  const key = keys.macKey.reveal((bytes) => createSecretKey(bytes));
  if (rows > 0)
    db.prepare(statements["audit.setHead"]).run(rows, hash, headMac(key, rows, hash, { count: 0, lastSeq: 0 }));
  db.exec("COMMIT");
  db.close();
}

const middle = (samples: readonly Sample[]): Sample =>
  [...samples].sort((a, b) => a.perSecond - b.perSecond)[Math.floor(samples.length / 2)] as Sample;

const folders = [...sizes, "raw"].map(() => mkdtempSync(join(tmpdir(), "cordon-performance-")));
try {
  const raw = folders.at(-1) as string;
  const subjects: {
    readonly size: number;
    readonly startMs: number;
    readonly taken: Sample[];
    readonly subject: Subject;
  }[] = [];
  for (const [index, size] of sizes.entries()) {
    const path = folders[index] as string;
    await withPast(path, size);
    const begin = performance.now();
    const subject = await openSubject(path);
    subjects.push({ size, startMs: performance.now() - begin, taken: [], subject });
  }
  const base = openRaw(raw);
  const rawSamples: Sample[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    // The first round warms up. Each round begins with another one, so that none profits from its place.
    for (let turn = 0; turn < subjects.length; turn++) {
      const { subject, taken } = subjects[(turn + round) % subjects.length] as (typeof subjects)[number];
      const sampled = await subject.slice();
      if (round > 0) taken.push(sampled);
    }
    const sampled = base.slice();
    if (round > 0) rawSamples.push(sampled);
  }
  for (const { subject } of subjects) await subject.close();
  base.close();
  const line = (name: string, { perSecond, p50Ms, p99Ms, worstMs, cpuUs }: Sample): void =>
    console.log(
      `${name.padEnd(34)} ${perSecond.toFixed(0).padStart(8)}/s  p50 ${p50Ms.toFixed(2)} ms  p99 ${p99Ms.toFixed(2)} ms  worst ${worstMs.toFixed(0)} ms  ${cpuUs.toFixed(0)} µs of processor each`,
    );
  const rawResult = middle(rawSamples);
  line("raw node:sqlite, one row a commit", rawResult);
  const results = subjects.map(({ size, startMs, taken }) => ({ rows: size, startMs, ...middle(taken) }));
  const [first] = results;
  for (const result of results) line(`reserve + audit, 3 x ${result.rows} rows`, result);
  for (const { rows, perSecond, startMs, cpuUs } of results)
    console.log(
      `${rows} rows: ${(perSecond / (first?.perSecond ?? NaN)).toFixed(2)} of the first, processor ${(cpuUs / (first?.cpuUs ?? NaN)).toFixed(2)}; to raw ${(perSecond / rawResult.perSecond).toFixed(2)}; start ${startMs.toFixed(0)} ms`,
    );
  console.log(JSON.stringify({ inFlight: IN_FLIGHT, rounds: ROUNDS, raw: rawResult, results }));
} finally {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
}
