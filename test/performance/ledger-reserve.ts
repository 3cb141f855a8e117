/**
 * Durable reservations a second (reserve + audit record in one transaction, 32 in flight) against raw
 * node:sqlite commits of one row under the same fsync policy, interleaved in one run; with an empty ledger
 * and with one of a million rows. Usage: node test/performance/ledger-reserve.ts [--rows N] [--seconds S] [--in-flight N]
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
const { values } = parseArgs({ options: { rows: text, seconds: text, "in-flight": text } });
const IN_FLIGHT = Number(values["in-flight"] ?? 32);
const rows = Number(values.rows ?? 1_000_000);
const sliceMs = Number(values.seconds ?? 1) * 1_000;
const ROUNDS = 5;
const keys = auditKeys();

type Sample = { readonly perSecond: number; readonly p50Ms: number; readonly p99Ms: number };

function sample(latencies: number[], elapsedMs: number): Sample {
  latencies.sort((a, b) => a - b);
  const at = (share: number): number => latencies[Math.floor(latencies.length * share)] ?? NaN;
  return { perSecond: (latencies.length / elapsedMs) * 1_000, p50Ms: at(0.5), p99Ms: at(0.99) };
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
      }
    };
    await Promise.all(Array.from({ length: IN_FLIGHT }, (_, n) => lane(n)));
    return sample(latencies, performance.now() - begin);
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
    const begin = performance.now();
    while (performance.now() - begin < sliceMs) {
      const start = performance.now();
      insert.run("decision agent:a1 reserved 1000 tokens");
      latencies.push(performance.now() - start);
    }
    return sample(latencies, performance.now() - begin);
  };
  return { slice, close: () => db.close() };
}

/** A ledger with a past: counters of old days, and a sealed chain of records. */
async function withPast(path: string): Promise<void> {
  await (await openStore({ path })).close();
  const db = new DatabaseSync(join(path, "cordon.sqlite"));
  db.exec(`PRAGMA synchronous = OFF; BEGIN;
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${rows})
      INSERT INTO budget_total SELECT 'agent:a' || (i % 20), 'day', (i / 20) * 86400, i, 0, i, 0, i, 0, 0, 0 FROM n`);
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

const folders = ["empty", "past", "raw"].map(() => mkdtempSync(join(tmpdir(), "cordon-performance-")));
try {
  const [empty, past, raw] = folders as [string, string, string];
  await withPast(past);
  const starts: number[] = [];
  const open = async (path: string) => {
    const begin = performance.now();
    const subject = await openSubject(path);
    starts.push(performance.now() - begin);
    return subject;
  };
  const subjects = { empty: await open(empty), past: await open(past) };
  const base = openRaw(raw);
  const samples: Record<"empty" | "past" | "raw", Sample[]> = { empty: [], past: [], raw: [] };
  for (let round = 0; round <= ROUNDS; round++) {
    const taken = { empty: await subjects.empty.slice(), raw: base.slice(), past: await subjects.past.slice() };
    // The first round warms up.
    if (round > 0) for (const name of ["empty", "raw", "past"] as const) samples[name].push(taken[name]);
  }
  await subjects.empty.close();
  await subjects.past.close();
  base.close();
  const result = { empty: middle(samples.empty), past: middle(samples.past), raw: middle(samples.raw) };
  const line = (name: string, { perSecond, p50Ms, p99Ms }: Sample): void =>
    console.log(
      `${name.padEnd(34)} ${perSecond.toFixed(0).padStart(8)}/s  p50 ${p50Ms.toFixed(2)} ms  p99 ${p99Ms.toFixed(2)} ms`,
    );
  line("raw node:sqlite, one row a commit", result.raw);
  line("reserve + audit, 0 rows", result.empty);
  line(`reserve + audit, 2 x ${rows} rows`, result.past);
  const ratios = {
    toRaw: result.empty.perSecond / result.raw.perSecond,
    pastToEmpty: result.past.perSecond / result.empty.perSecond,
  };
  console.log(`ratio to raw ${ratios.toRaw.toFixed(2)}, with a past to without ${ratios.pastToEmpty.toFixed(2)}`);
  console.log(`start ${starts.map((ms) => `${ms.toFixed(0)} ms`).join(" (empty), ")} (past)`);
  console.log(JSON.stringify({ rows, inFlight: IN_FLIGHT, rounds: ROUNDS, ...result, ratios, startMs: starts }));
} finally {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
}
