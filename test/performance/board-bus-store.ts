/**
 * Durable board writes and topic publications a second (256 in flight), and board reads a second, against raw
 * node:sqlite under the same fsync policy in the same run: one row a commit, and as many rows a commit as are in flight.
 * Values of the board are sealed, as in a mesh. On a small state and on one of a million rows. Usage: node test/performance/board-bus-store.ts [--rows N] [--seconds S]
 */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { parseArgs } from "node:util";
import { systemClock } from "../../lib/clock.ts";
import { randomId } from "../../lib/id.ts";
import { Secret } from "../../lib/redact.ts";
import { Blackboard } from "../../mesh/blackboard/blackboard.ts";
import { Topics } from "../../mesh/bus/topics.ts";
import { openStore } from "../../mesh/store/open.ts";
import { boardCipher } from "../../mesh/vault/board-cipher.ts";
import { unlabelled } from "../../protocol/label.ts";

const IN_FLIGHT = 256;
const ROUNDS = 5;
const { values } = parseArgs({ options: { rows: { type: "string" }, seconds: { type: "string" } } });
const rows = Number(values.rows ?? 1_000_000);
const sliceMs = Number(values.seconds ?? 0.5) * 1_000;
const KEYS = 50_000;
const label = JSON.stringify(unlabelled);
const text = "x".repeat(200);

interface Sample {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

function sample(latencies: number[], elapsedMs: number, each = 1): Sample {
  latencies.sort((a, b) => a - b);
  const at = (share: number): number => latencies[Math.floor(latencies.length * share)] ?? NaN;
  return { perSecond: ((latencies.length * each) / elapsedMs) * 1_000, p50Ms: at(0.5), p99Ms: at(0.99) };
}

/** Lanes that each wait for their own commit before the next. */
async function durable(commit: (n: number) => Promise<void>): Promise<Sample> {
  const latencies: number[] = [];
  const begin = performance.now();
  let n = 0;
  const lane = async (): Promise<void> => {
    while (performance.now() - begin < sliceMs) {
      const start = performance.now();
      await commit(n++);
      latencies.push(performance.now() - start);
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
  return sample(latencies, performance.now() - begin);
}

function repeated(work: (n: number) => void, each = 1): Sample {
  const latencies: number[] = [];
  const begin = performance.now();
  for (let n = 0; performance.now() - begin < sliceMs; n++) {
    const start = performance.now();
    work(n);
    latencies.push(performance.now() - start);
  }
  return sample(latencies, performance.now() - begin, each);
}

async function subject(path: string, keys: number) {
  const store = await openStore({ path });
  // What `withPast` has written is not sealed.
  const cipher = boardCipher({ lasting: new Secret(new Uint8Array(96).fill(7)) }, randomBytes);
  const board = new Blackboard(store, systemClock, { cipher, plainUpTo: store.query.watches.head() });
  const topics = new Topics(store, systemClock, randomId);
  const entry = {
    value: text,
    ifVersion: undefined,
    ttlSeconds: undefined,
    writer: "a",
    session: "s",
    label: unlabelled,
  };
  return {
    write: () =>
      durable(async (n) => {
        const made = board.prepare({ ...entry, key: `k/${(n * 7919) % keys}` });
        if (!made.ok) throw new Error(made.error.reason);
        await store.commit(made.value.writes);
        made.value.done();
      }),
    read: () => repeated((n) => board.read(`k/${(n * 7919) % keys}`, undefined)),
    publish: () =>
      durable(async (n) => {
        const made = topics.publish({
          topic: `t/${n % 100}`,
          sender: "agent:a",
          session: "s",
          body: text,
          label: unlabelled,
        });
        if (!made.ok) throw new Error(made.error.reason);
        await store.commit(made.value.writes);
        made.value.done();
      }),
    close: () => store.close(),
  };
}

/** A state with a past: `count` versions over its keys, and as many messages over a hundred topics. */
async function withPast(path: string, count: number, keys: number): Promise<void> {
  await (await openStore({ path })).close();
  const db = new DatabaseSync(join(path, "cordon.sqlite"));
  const numbers = `WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ${count - 1})`;
  db.exec(`PRAGMA synchronous = OFF; BEGIN;
    ${numbers} INSERT INTO board_key SELECT i + 1, 'default', 'k/' || i FROM n WHERE i < ${keys};
    ${numbers} INSERT INTO board_log
      SELECT i + 1, i % ${keys} + 1, i / ${keys} + 1, max(0, i + 1 - ${keys}), '${text}', '${label}', 'a', 's', i, NULL, 0, 0
      FROM n;
    INSERT INTO board_head SELECT key, max(seq) FROM board_log GROUP BY key;
    ${numbers} INSERT INTO topic_message
      SELECT 'default', 't/' || (i % 100), i / 100 + 1, 'evt_' || i, 'agent:a', 's', '${text}', '${label}', i, NULL, NULL FROM n;
    COMMIT; PRAGMA wal_checkpoint(TRUNCATE)`);
  db.close();
}

function raw(path: string) {
  const db = new DatabaseSync(join(path, "raw.sqlite"));
  db.exec(
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT, label TEXT)",
  );
  const insert = db.prepare("INSERT INTO t (text, label) VALUES (?, ?)");
  const get = db.prepare("SELECT text FROM t WHERE id = ?");
  return {
    one: () => repeated(() => void insert.run(text, label)),
    grouped: () =>
      repeated(() => {
        db.exec("BEGIN IMMEDIATE");
        for (let n = 0; n < IN_FLIGHT; n++) insert.run(text, label);
        db.exec("COMMIT");
      }, IN_FLIGHT),
    read: () => repeated((n) => void get.get((n % 1_000) + 1)),
    close: () => db.close(),
  };
}

const middle = (samples: readonly Sample[]): Sample =>
  samples.toSorted((a, b) => a.perSecond - b.perSecond)[Math.floor(samples.length / 2)] as Sample;

const folders = [0, 1, 2].map(() => mkdtempSync(join(tmpdir(), "cordon-performance-")));
try {
  const [smallPath, largePath, rawPath] = folders as [string, string, string];
  await withPast(smallPath, 1_000, 1_000);
  await withPast(largePath, rows, Math.min(rows, KEYS));
  const small = await subject(smallPath, 1_000);
  const large = await subject(largePath, Math.min(rows, KEYS));
  const base = raw(rawPath);
  const runs: Readonly<Record<string, () => Sample | Promise<Sample>>> = {
    "raw, one row a commit": base.one,
    [`raw, ${IN_FLIGHT} rows a commit`]: base.grouped,
    "raw, read by key": base.read,
    "board write, 1k rows": small.write,
    [`board write, ${rows} rows`]: large.write,
    "board read, 1k rows": small.read,
    [`board read, ${rows} rows`]: large.read,
    "publish, 1k rows": small.publish,
    [`publish, ${rows} rows`]: large.publish,
  };
  const samples = new Map<string, Sample[]>();
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [name, run] of Object.entries(runs)) {
      const taken = await run();
      // The first round warms up.
      if (round > 0) samples.set(name, [...(samples.get(name) ?? []), taken]);
    }
  }
  await small.close();
  await large.close();
  base.close();
  const result = Object.fromEntries([...samples].map(([name, taken]) => [name, middle(taken)]));
  const one = result["raw, one row a commit"]?.perSecond ?? NaN;
  const grouped = result[`raw, ${IN_FLIGHT} rows a commit`]?.perSecond ?? NaN;
  const lookup = result["raw, read by key"]?.perSecond ?? NaN;
  for (const [name, { perSecond, p50Ms, p99Ms }] of Object.entries(result)) {
    const [of, base] = name.includes("read") ? ["reads", lookup] : ["grouped", grouped];
    const ratio = `${(perSecond / base).toFixed(2)} x raw ${of}, ${(perSecond / one).toFixed(1)} x raw commits`;
    console.log(
      `${name.padEnd(28)} ${perSecond.toFixed(0).padStart(9)}/s  p50 ${p50Ms.toFixed(3)} ms  p99 ${p99Ms.toFixed(3)} ms  ${ratio}`,
    );
  }
  console.log(JSON.stringify({ rows, inFlight: IN_FLIGHT, rounds: ROUNDS, result }));
} finally {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
}
