/**
 * Durable board writes and topic publications a second (256 in flight), and board reads a second, against raw
 * node:sqlite under the same fsync policy in the same run: one small row a commit, as many small rows a commit as are in
 * flight, and as many of the very rows that a board write and a publication leave (the same tables and indices, the
 * value of the size that it has when it is sealed). Values of the board are sealed, as in a mesh, but where it says so; raw
 * rows are not, but where it says so. On a small state and on one of a million rows, by callers that each wait for their own row, and by one that hands over all rows of a commit.
 * Then what the large state costs against the small one, and what an operation costs the processor, by thread and by part.
 * Usage: node test/performance/board-bus-store.ts [--rows N] [--seconds S]
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
import { plainValues } from "../../mesh/blackboard/value-cipher.ts";
import { Topics } from "../../mesh/bus/topics.ts";
import { openStore } from "../../mesh/store/open.ts";
import { packed, unpacked } from "../../mesh/store/packing.ts";
import { statements } from "../../mesh/store/statements.ts";
import type { Row, Write } from "../../mesh/store/store.ts";
import { boardCipher } from "../../mesh/vault/board-cipher.ts";
import { unlabelled } from "../../protocol/label.ts";
import { limits } from "../../protocol/limits.ts";

const IN_FLIGHT = 256;
const ROUNDS = 5;
const { values } = parseArgs({ options: { rows: { type: "string" }, seconds: { type: "string" } } });
const rows = Number(values.rows ?? 1_000_000);
const sliceMs = Number(values.seconds ?? 0.5) * 1_000;
const KEYS = 50_000;
/** Besides those: one agent may have so many more. */
const PLAIN_KEYS = 20_000;
const label = JSON.stringify(unlabelled);
const text = "x".repeat(200);

interface Sample {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Of processor time an operation: of this thread, and of all others (the writer, the collector of garbage). */
  readonly mainMicros: number;
  readonly otherMicros: number;
}

/** Begins to measure; call what it gives with the latencies of all that was done since. */
function measuring(): (latencies: number[], each?: number) => Sample {
  const [all, main, begin] = [process.cpuUsage(), process.threadCpuUsage(), performance.now()];
  return (latencies, each = 1) => {
    const elapsedMs = performance.now() - begin;
    const operations = latencies.length * each;
    const micros = ({ user, system }: NodeJS.CpuUsage): number => (user + system) / operations;
    const mainMicros = micros(process.threadCpuUsage(main));
    const otherMicros = micros(process.cpuUsage(all)) - mainMicros;
    latencies.sort((a, b) => a - b);
    const at = (share: number): number => latencies[Math.floor(latencies.length * share)] ?? NaN;
    return { perSecond: (operations / elapsedMs) * 1_000, p50Ms: at(0.5), p99Ms: at(0.99), mainMicros, otherMicros };
  };
}

/** Lanes that each wait for their own commit before the next. */
async function durable(commit: (n: number) => Promise<void>, lanes = IN_FLIGHT, each = 1): Promise<Sample> {
  const latencies: number[] = [];
  const measured = measuring();
  const begin = performance.now();
  let n = 0;
  const lane = async (): Promise<void> => {
    while (performance.now() - begin < sliceMs) {
      const start = performance.now();
      await commit(n++);
      latencies.push(performance.now() - start);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return measured(latencies, each);
}

function repeated(work: (n: number) => void, each = 1): Sample {
  const latencies: number[] = [];
  const measured = measuring();
  const begin = performance.now();
  for (let n = 0; performance.now() - begin < sliceMs; n++) {
    const start = performance.now();
    work(n);
    latencies.push(performance.now() - start);
  }
  return measured(latencies, each);
}

const sealing = () => boardCipher({ lasting: new Secret(new Uint8Array(96).fill(7)) }, randomBytes);

type Make = (n: number) => { readonly writes: readonly Write[]; done(): void };

async function subject(path: string, keys: number) {
  const store = await openStore({ path });
  // What `withPast` has written is not sealed.
  const cipher = sealing();
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
  const change = (n: number) => {
    const made = board.prepare({ ...entry, key: `k/${(n * 7919) % keys}` });
    if (!made.ok) throw new Error(made.error.reason);
    return made.value;
  };
  // Keys of its own, and values as long as sealed ones: what a board costs where nothing is sealed, as the raw rows.
  const plain = new Blackboard(store, systemClock, { cipher: plainValues, plainUpTo: 0 });
  const plainEntry = { ...entry, value: cipher.seal(text, { key: "k/0", version: 1 }) };
  const plainChange = (n: number) => {
    const made = plain.prepare({ ...plainEntry, key: `p/${(n * 7919) % Math.min(keys, PLAIN_KEYS)}` });
    if (!made.ok) throw new Error(made.error.reason);
    return made.value;
  };
  const publication = (n: number) => {
    const made = topics.publish({
      topic: `t/${n % 100}`,
      sender: "agent:a",
      session: "s",
      body: text,
      label: unlabelled,
    });
    if (!made.ok) throw new Error(made.error.reason);
    return made.value;
  };
  const one = (make: Make) => () =>
    durable(async (n) => {
      const { writes, done } = make(n);
      await store.commit(writes);
      done();
    });
  const together = (make: Make) => () =>
    durable(
      async (n) => {
        const made = Array.from({ length: IN_FLIGHT }, (_, at) => make(n * IN_FLIGHT + at));
        await store.commit(made.flatMap(({ writes }) => writes));
        for (const { done } of made) done();
      },
      1,
      IN_FLIGHT,
    );
  return {
    ...{ change, publication },
    write: one(change),
    writeTogether: together(change),
    writePlain: one(plainChange),
    publish: one(publication),
    publishTogether: together(publication),
    read: () => repeated((n) => board.read(`k/${(n * 7919) % keys}`, undefined)),
    close: () => store.close(),
  };
}

/** A state with a past: `count` versions over its keys, and as many messages over a hundred topics. */
async function withPast(path: string, count: number, keys: number): Promise<void> {
  await (await openStore({ path })).close();
  const db = new DatabaseSync(join(path, "cordon.sqlite"));
  const numbers = `WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ${count - 1})`;
  db.exec(`PRAGMA synchronous = OFF; BEGIN;
    ${numbers} INSERT INTO board_key SELECT i + 1, 'default', 'k/' || i, 'a' FROM n WHERE i < ${keys};
    ${numbers} INSERT INTO board_log
      SELECT i + 1, i % ${keys} + 1, i / ${keys} + 1, max(0, i + 1 - ${keys}), '${text}', '${label}', 'a', 's', i, NULL, 0, 0
      FROM n;
    INSERT INTO board_head SELECT key, max(seq) FROM board_log GROUP BY key;
    ${numbers} INSERT INTO topic_message
      SELECT 'default', 't/' || (i % 100), i / 100 + 1, 'evt_' || i, 'agent:a', 's', '${text}', '${label}', i, NULL, NULL FROM n;
    COMMIT; PRAGMA wal_checkpoint(TRUNCATE)`);
  db.close();
}

function rawDatabase(file: string): DatabaseSync {
  const db = new DatabaseSync(file);
  db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
  return db;
}

function grouped(db: DatabaseSync, insert: (n: number) => void): () => Sample {
  let next = 0;
  const commit = (): void => {
    db.exec("BEGIN IMMEDIATE");
    for (let n = 0; n < IN_FLIGHT; n++) insert(next++);
    db.exec("COMMIT");
  };
  return () => repeated(commit, IN_FLIGHT);
}

function raw(path: string) {
  const db = rawDatabase(join(path, "raw.sqlite"));
  db.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT, label TEXT)");
  const insert = db.prepare("INSERT INTO t (text, label) VALUES (?, ?)");
  const get = db.prepare("SELECT text FROM t WHERE id = ?");
  return {
    one: () => repeated(() => void insert.run(text, label)),
    grouped: grouped(db, () => void insert.run(text, label)),
    read: () => repeated((n) => void get.get((n % 1_000) + 1)),
    close: () => db.close(),
  };
}

/** The rows of the board and of topics in a state of their own, by the statements alone: nothing decides, seals or hands over. */
async function rawRows(path: string, count: number, keys: number) {
  await withPast(path, count, keys);
  const db = rawDatabase(join(path, "cordon.sqlite"));
  db.exec(`PRAGMA cache_size = -${limits.store.cacheBytesMax / 1024}`);
  const [insert, setHead] = [db.prepare(statements["board.insert"]), db.prepare(statements["board.setHead"])];
  const publish = db.prepare(statements["topics.insert"]);
  const cipher = sealing();
  const sealed = cipher.seal(text, { key: "k/0", version: 1 });
  const write = (n: number, value: string): void => {
    const key = ((n * 7919) % keys) + 1;
    insert.run(key, 1_000_000, value, label, "a", "s", 1_700_000_000_000, null, 0);
    setHead.run(key);
  };
  const positions = new Map<number, number>();
  return {
    writes: grouped(db, (n) => write(n, sealed)),
    sealedWrites: grouped(db, (n) => write(n, cipher.seal(text, { key: `k/${n % keys}`, version: n + 1 }))),
    publications: grouped(db, (n) => {
      const position = (positions.get(n % 100) ?? count) + 1;
      positions.set(n % 100, position);
      const id = `evt_${String(n).padStart(34, "m")}`;
      publish.run("default", `t/${n % 100}`, position, id, "agent:a", "s", text, label, 1_700_000_000_000, null, null);
    }),
    close: () => db.close(),
  };
}

/** Microseconds of this thread an operation: the best of several times, since others use the machine, too. */
function microsEach(work: (n: number) => unknown): number {
  let best = Infinity;
  for (let time = 0; time < 40; time++) {
    const begin = performance.now();
    for (let n = 0; n < IN_FLIGHT; n++) work(time * IN_FLIGHT + n);
    best = Math.min(best, ((performance.now() - begin) * 1_000) / IN_FLIGHT);
  }
  return best;
}

/** What an operation costs on its way to SQLite. */
function parts({ change, publication }: Awaited<ReturnType<typeof subject>>) {
  const cipher = sealing();
  const made = (make: Make) => (n: number) => {
    const { writes, done } = make(n);
    done();
    return writes;
  };
  const packing = (make: Make) => {
    const rows = Array.from({ length: IN_FLIGHT }, (_, n) => made(make)(n)).flat() as Row[];
    const all = packed(rows);
    const each = (work: () => unknown): number => microsEach((n) => (n % IN_FLIGHT === 0 ? work() : undefined));
    return { pack: each(() => packed(rows)), unpack: each(() => unpacked(all)) };
  };
  const [write, publish] = [microsEach(made(change)), microsEach(made(publication))];
  const seal = microsEach((n) => cipher.seal(text, { key: `k/${n}`, version: n }));
  return {
    write: { decide: write - seal, seal, ...packing(change) },
    publish: { decide: publish, ...packing(publication) },
  };
}

const middle = (samples: readonly Sample[]): Sample =>
  samples.toSorted((a, b) => a.perSecond - b.perSecond)[Math.floor(samples.length / 2)] as Sample;

const folders = [0, 1, 2, 3, 4].map(() => mkdtempSync(join(tmpdir(), "cordon-performance-")));
try {
  const [smallPath, largePath, rawPath, smallRows, largeRows] = folders as [string, string, string, string, string];
  const keys = Math.min(rows, KEYS);
  await withPast(smallPath, 1_000, 1_000);
  await withPast(largePath, rows, keys);
  const small = await subject(smallPath, 1_000);
  const large = await subject(largePath, keys);
  const base = raw(rawPath);
  const same = { small: await rawRows(smallRows, 1_000, 1_000), large: await rawRows(largeRows, rows, keys) };
  /** Beside what it is measured: small rows, and the very same rows. */
  const runs: Readonly<Record<string, readonly [run: () => Sample | Promise<Sample>, same?: string, sealed?: string]>> =
    {
      "raw, one row a commit": [base.one],
      [`raw, ${IN_FLIGHT} rows a commit`]: [base.grouped],
      "raw, read by key": [base.read],
      "raw board rows, 1k": [same.small.writes],
      [`raw board rows, ${rows}`]: [same.large.writes],
      "raw board rows, each sealed, 1k": [same.small.sealedWrites],
      [`raw board rows, each sealed, ${rows}`]: [same.large.sealedWrites],
      "raw topic rows, 1k": [same.small.publications],
      [`raw topic rows, ${rows}`]: [same.large.publications],
      "board write, 1k rows": [small.write, "raw board rows, 1k", "raw board rows, each sealed, 1k"],
      "board write, unsealed, 1k rows": [small.writePlain, "raw board rows, 1k"],
      "board write together, 1k rows": [small.writeTogether, "raw board rows, 1k", "raw board rows, each sealed, 1k"],
      [`board write, ${rows} rows`]: [large.write, `raw board rows, ${rows}`, `raw board rows, each sealed, ${rows}`],
      [`board write, unsealed, ${rows} rows`]: [large.writePlain, `raw board rows, ${rows}`],
      [`board write together, ${rows} rows`]: [
        large.writeTogether,
        `raw board rows, ${rows}`,
        `raw board rows, each sealed, ${rows}`,
      ],
      "board read, 1k rows": [small.read],
      [`board read, ${rows} rows`]: [large.read],
      "publish, 1k rows": [small.publish, "raw topic rows, 1k"],
      "publish together, 1k rows": [small.publishTogether, "raw topic rows, 1k"],
      [`publish, ${rows} rows`]: [large.publish, `raw topic rows, ${rows}`],
      [`publish together, ${rows} rows`]: [large.publishTogether, `raw topic rows, ${rows}`],
    };
  const samples = new Map<string, Sample[]>();
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [name, [run]] of Object.entries(runs)) {
      const taken = await run();
      // The first round warms up.
      if (round > 0) samples.set(name, [...(samples.get(name) ?? []), taken]);
    }
  }
  const micros = parts(small);
  await small.close();
  await large.close();
  for (const each of [base, same.small, same.large]) each.close();
  const result = Object.fromEntries([...samples].map(([name, taken]) => [name, middle(taken)]));
  const rate = (name: string): number => result[name]?.perSecond ?? NaN;
  console.log(
    `Raw board and topic rows: the same statements, tables, indices, bytes of each value and page cache, ${IN_FLIGHT} rows a commit,\n` +
      `WAL with synchronous = FULL on both sides; they decide nothing, seal nothing (but where it says so) and wait for nobody. Of a crowd of callers\n` +
      `ours commits halves, so it syncs twice as often as they.`,
  );
  for (const [name, { perSecond, p50Ms, p99Ms, mainMicros, otherMicros }] of Object.entries(result)) {
    const against = (other: string, what: string): string => `${(perSecond / rate(other)).toFixed(2)} x ${what}`;
    const [, same, sealed] = runs[name] ?? [];
    const ratios = [
      name.includes("read")
        ? against("raw, read by key", "raw reads")
        : against(`raw, ${IN_FLIGHT} rows a commit`, "raw small rows"),
      ...(same === undefined ? [] : [against(same, "the same rows")]),
      ...(sealed === undefined ? [] : [against(sealed, "the same rows, each sealed")]),
      against("raw, one row a commit", "raw commits"),
    ];
    console.log(
      `${name.padEnd(34)} ${perSecond.toFixed(0).padStart(9)}/s  p50 ${p50Ms.toFixed(3)} ms  p99 ${p99Ms.toFixed(3)} ms  cpu ${mainMicros.toFixed(1)} + ${otherMicros.toFixed(1)} µs  ${ratios.join(", ")}`,
    );
  }
  for (const [name, of] of Object.entries(micros))
    console.log(
      `µs a ${name}: ${Object.entries(of)
        .map(([part, each]) => `${part} ${each.toFixed(2)}`)
        .join(", ")}`,
    );
  // What a large state costs: its figures against those of the small one, of the raw rows and of ours, in the same run.
  const growth = Object.keys(result).flatMap((name) => {
    const [few, many] = [result[name], result[name.replace("1k", String(rows))]];
    if (!name.includes("1k") || !few || !many) return [];
    const times = (part: keyof Sample): number => Number((many[part] / few[part]).toFixed(2));
    return [
      {
        [`1k -> ${rows}`]: name.replace(", 1k", "").replace(" rows", ""),
        rate: times("perSecond"),
        p50: times("p50Ms"),
        p99: times("p99Ms"),
      },
    ];
  });
  console.table(growth);
  console.log(JSON.stringify({ rows, inFlight: IN_FLIGHT, rounds: ROUNDS, result, growth, micros }));
} finally {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
}
