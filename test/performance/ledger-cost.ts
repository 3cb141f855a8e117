/**
 * What one hold and its settlement cost the processor, with their audit records, by part: deciding, packing, unpacking, SQL.
 * Writer and mesh on one thread, without syncing, so that each part is timed by itself: the tenth of the transactions that
 * was disturbed least, and the mean number of rows, bytes and pages of the log of a transaction.
 * Usage: node test/performance/ledger-cost.ts [--calls N] [--agents N] [--transactions N]
 */
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { systemClock } from "../../lib/clock.ts";
import { randomId } from "../../lib/id.ts";
import { createAudit } from "../../mesh/audit/create.ts";
import { createLedger } from "../../mesh/ledger/create.ts";
import type { Hold } from "../../mesh/ledger/ledger.ts";
import { ScopeTree } from "../../mesh/ledger/scope-tree.ts";
import { createBatchRunner } from "../../mesh/store/batch.ts";
import { openReader, openWriter } from "../../mesh/store/connection.ts";
import { preparer } from "../../mesh/store/database.ts";
import { GroupCommit } from "../../mesh/store/group-commit.ts";
import { packed, unpacked } from "../../mesh/store/packing.ts";
import { createQueries } from "../../mesh/store/queries.ts";
import type { Row, Store } from "../../mesh/store/store.ts";
import { auditKeys } from "../simulation/world.ts";

const text = { type: "string" } as const;
const { values } = parseArgs({ options: { calls: text, agents: text, transactions: text } });
const calls = Number(values.calls ?? 8);
const agents = Number(values.agents ?? 10);
const transactions = Number(values.transactions ?? 1_500);
const FRAME_BYTES = 4_120;

const parts = ["hold", "settle", "pack", "unpack", "sql", "rows", "bytes", "pages"] as const;
const taken = Object.fromEntries(parts.map((part) => [part, [] as number[]])) as Record<
  (typeof parts)[number],
  number[]
>;
let warm = false;
const take = (part: (typeof parts)[number], value: number): void => void (warm && taken[part].push(value));

const path = mkdtempSync(join(tmpdir(), "cordon-performance-"));
const db = openWriter(path);
db.exec("PRAGMA synchronous = OFF; PRAGMA wal_autocheckpoint = 0");
const run = createBatchRunner(db);
const reader = openReader(path);
let logBytes = 0;

function write(rows: readonly Row[]): void {
  const times = [performance.now()];
  const message = packed(rows);
  times.push(performance.now());
  const sent = structuredClone(message);
  times.push(performance.now());
  const received = unpacked(sent);
  times.push(performance.now());
  if (received.length > 0) run(received);
  times.push(performance.now());
  const [begin = 0, packedAt = 0, sentAt = 0, unpackedAt = 0, ranAt = 0] = times;
  // The copy is made half by either thread.
  const half = (sentAt - packedAt) / 2;
  take("pack", packedAt - begin + half);
  take("unpack", unpackedAt - sentAt + half);
  take("sql", ranAt - unpackedAt);
  take("rows", rows.length);
  take("bytes", message.text.length + message.codes.byteLength + message.bytes.length);
  const { size } = statSync(join(path, "cordon.sqlite-wal"));
  take("pages", (size - logBytes) / FRAME_BYTES);
  logBytes = size;
}

const group = new GroupCommit(
  path,
  (own) => ({
    run: (rows, upTo) => {
      write(rows);
      own.acknowledge(upTo);
    },
    close: () => Promise.resolve(),
  }),
  { laterMs: 1_000 },
);
const store: Store = {
  commit: (writes) => group.commit(writes),
  commitLater: (writes) => group.commitLater(writes),
  sealWith: (rows) => group.sealWith(rows),
  query: createQueries(
    preparer(reader, (error) => {
      throw error;
    }),
  ),
  failed: group.failed,
  close: () => group.close(),
};
const audit = createAudit({ store, clock: systemClock, ...auditKeys() });
const cap = { tokens: 1e12, usd: 1e12 };
const budget = { day: cap, month: cap };
const names = Array.from({ length: agents }, (_, n) => `a${n}`);
const tree = new ScopeTree({
  budget,
  teams: [{ name: "red", members: names, budget }],
  agents: names.map((name) => ({ name, budget })),
});
const ledger = await createLedger({
  ...{ store, audit, clock: systemClock, ids: randomId, timeZone: "UTC" },
  caps: (scope) => tree.caps(scope),
});

const said = { model: "bench/model", price: "fleet", credential: "bench" };

function hold(agent: string): { readonly held: Hold; readonly onDisk: Promise<void> } {
  const scopes = tree.of(agent);
  ledger.left(scopes, "bench");
  const sent = { bytes: 1_100, destination: "bench", credential: "bench", price: "fleet" };
  const held = ledger.reserve(scopes, { tokens: 1_500, microUsd: 15_000 }, said.model, sent);
  if (!held.ok) throw new Error("no cap was reached");
  const { id, worst, writes } = held.value;
  const about = { allow: true, sandbox: "sbx_bench", verb: "model.call", rule: "models" };
  const detail = { ...about, ...said, hold: id, tokens: worst.tokens, micro_usd: worst.microUsd };
  return {
    held: held.value,
    onDisk: audit.record({ kind: "model.reserved", subject: `agent:${agent}`, detail }, writes),
  };
}

function settle(agent: string, held: Hold): void {
  const usage = { inputTokens: 300, outputTokens: 50, cacheReadTokens: 0, cacheWriteTokens: 0 };
  const { writes } = ledger.settle(held, { ...usage, cost: { tokens: 350, microUsd: 1_000 } });
  const counts = { input_tokens: 300, output_tokens: 50, cache_read_tokens: 0, cache_write_tokens: 0, tokens: 350 };
  const about = { outcome: "completed", reason: "", charged: "usage", above_tokens: 0, above_micro_usd: 0 };
  const detail = { hold: held.id, model: said.model, price: said.price, micro_usd: 1_000, ...counts, ...about };
  void audit.record({ kind: "model.settled", subject: `agent:${agent}`, detail }, writes, "later");
}

const least = (part: (typeof parts)[number]): number =>
  ((taken[part].toSorted((a, b) => a - b)[Math.floor(taken[part].length / 10)] ?? NaN) * 1_000) / calls;
const mean = (part: (typeof parts)[number]): number =>
  taken[part].reduce((sum, value) => sum + value, 0) / taken[part].length;

try {
  for (let n = 0; n < transactions; n++) {
    warm = n > transactions / 3;
    const asking = Array.from({ length: calls }, (_, at) => names[((n * calls + at) * 7) % agents] ?? "a0");
    const begin = performance.now();
    const held = asking.map(hold);
    take("hold", performance.now() - begin);
    for (const { onDisk } of held) await onDisk;
    const answered = performance.now();
    for (const [at, one] of held.entries()) settle(asking[at] ?? "a0", one.held);
    take("settle", performance.now() - answered);
  }
  const micros = Object.fromEntries(parts.slice(0, 5).map((part) => [part, least(part)]));
  const [mesh, writer] = [least("hold") + least("settle") + least("pack"), least("unpack") + least("sql")];
  console.log(
    `${calls} calls a transaction, ${agents} agents, µs a call: ${Object.entries(micros)
      .map(([part, each]) => `${part} ${each.toFixed(1)}`)
      .join(", ")}; mesh ${mesh.toFixed(1)} + writer ${writer.toFixed(1)} = ${(mesh + writer).toFixed(1)}`,
  );
  const [rows, bytes, pages] = [mean("rows"), mean("bytes"), mean("pages")];
  console.log(
    `a transaction: ${rows.toFixed(1)} rows, ${bytes.toFixed(0)} bytes, ${pages.toFixed(1)} pages of the log`,
  );
  console.log(JSON.stringify({ calls, agents, micros, mesh, writer, rows, bytes, pages }));
} finally {
  await audit.close();
  reader.close();
  db.close();
  rmSync(path, { recursive: true, force: true });
}
