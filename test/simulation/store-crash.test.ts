/** Every point of every transaction, one after the other: the process dies there, or the disk fails there. */
import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import type { FaultPoint } from "../../mesh/store/batch.ts";
import { SimulatedCrash } from "../../mesh/store/inline.ts";
import { verifyAudit } from "../../mesh/audit/verify.ts";
import type { Caps, Scope } from "../../mesh/ledger/ledger.ts";
import { auditKeys, openCore, SimulatedClock, stateFolder } from "./world.ts";

const CAP = 500;
const caps = (scope: Scope): Caps => (scope === "fleet" ? { day: {}, month: {} } : { day: { tokens: CAP }, month: {} });
const keys = auditKeys();

type Core = Awaited<ReturnType<typeof openCore>>;

/** Writes of every room, in flushes of one and of several commits; `acknowledged` grows as they are answered. */
async function workload({ store, audit, ledger }: Core, acknowledged: Set<string>): Promise<void> {
  const acknowledge = (name: string) => (): unknown => acknowledged.add(name);
  const call = async (name: string): Promise<void> => {
    const hold = ledger.reserve(["fleet", "agent:a"], { tokens: 100, microUsd: 1 }, "m");
    if (!hold.ok) return;
    const { id, writes } = hold.value;
    await audit.record({ kind: "call.reserved", subject: "agent:a", detail: { name } }, [
      ...writes,
      ["meta.set", `r-${name}`, id],
    ]);
    acknowledge(`r-${name}`)();
    const usage = { inputTokens: 5, outputTokens: 5, cost: { tokens: 10, microUsd: 1 } };
    await audit.record({ kind: "call.settled", subject: "agent:a", detail: { name } }, [
      ...ledger.settle(hold.value, usage).writes,
      ["meta.set", `s-${name}`, id],
    ]);
    acknowledge(`s-${name}`)();
  };
  await store.commit([["meta.set", "one", "1"]]).then(acknowledge("one"));
  await call("alone");
  await Promise.all([call("x"), call("y"), call("z")]);
  await store
    .commit([
      ["meta.set", "pair-1", "1"],
      ["meta.set", "pair-2", "1"],
    ])
    .then(acknowledge("pair-1"));
}

/** Runs the workload until fault `n`; returns whether that point was reached. */
async function runUntil(
  path: string,
  n: number,
  fault: () => Error,
  acknowledged: Set<string>,
  journalOpsMax: number,
): Promise<FaultPoint | undefined> {
  let count = 0;
  let hit: FaultPoint | undefined;
  const dead = Promise.withResolvers<void>();
  const faults = (point: FaultPoint): void => {
    if (count++ !== n) return;
    hit = point;
    setImmediate(dead.resolve);
    throw fault();
  };
  const clock = new SimulatedClock("2026-03-01T10:00:00Z");
  const core = await openCore({ path, clock, keys, caps, faults, journalOpsMax });
  const work = workload(core, acknowledged).catch(() => {});
  await Promise.race([work, dead.promise]);
  await core.store.close();
  return hit;
}

async function checkAfter(path: string, n: number, acknowledged: ReadonlySet<string>): Promise<void> {
  const clock = new SimulatedClock("2026-03-01T10:00:00Z");
  const { store, audit, ledger } = await openCore({ path, clock, keys, caps, run: 1 });
  for (const key of acknowledged)
    assert.ok(store.query.meta.get(key), `point ${n}: \`${key}\` was acknowledged and is there`);
  assert.equal(
    store.query.meta.get("pair-1"),
    store.query.meta.get("pair-2"),
    `point ${n}: a commit is whole or not there`,
  );
  let [reservedThere, settledThere] = [0, 0];
  for (const name of ["alone", "x", "y", "z"]) {
    if (store.query.meta.get(`r-${name}`)) reservedThere++;
    if (store.query.meta.get(`s-${name}`)) settledThere++;
  }
  const line = ledger.lines(["agent:a"])[0];
  assert.equal(ledger.recovered.length, reservedThere - settledThere, `point ${n}: every open hold was recovered`);
  assert.equal(line?.reserved, 0);
  assert.equal(
    line?.settled,
    settledThere * 10 + (reservedThere - settledThere) * 100,
    `point ${n}: money is what the rows say`,
  );
  assert.ok((line?.settled ?? Infinity) <= CAP);
  const verdict = await verifyAudit(store.query, { publicKey: keys.signer.publicKey, macKey: keys.macKey });
  assert.deepEqual(
    [verdict.ok, verdict.records],
    [true, reservedThere + settledThere + ledger.recovered.length],
    `point ${n}`,
  );
  await store.commit([["meta.set", "after", "1"]]);
  await audit.close();
  await store.close();
}

async function enumerate(t: TestContext, fault: () => Error, journalOpsMax = 3): Promise<Map<string, number>> {
  const reached = new Map<string, number>();
  for (let n = 0; ; n++) {
    const path = stateFolder(t);
    const acknowledged = new Set<string>();
    const point = await runUntil(path, n, fault, acknowledged, journalOpsMax);
    await checkAfter(path, n, acknowledged);
    if (!point) return reached;
    reached.set(point.at, (reached.get(point.at) ?? 0) + 1);
  }
}

function assertAwake(reached: ReadonlyMap<string, number>): void {
  for (const at of ["begin", "write", "commit", "acknowledge"]) {
    assert.ok((reached.get(at) ?? 0) >= 4, `the enumeration reached \`${at}\``);
  }
}

test("a crash at any point of any transaction loses no acknowledged write and no money", async (t) => {
  assertAwake(await enumerate(t, () => new SimulatedCrash("here")));
});

test("nor does one when the tables of the ledger are as old as the state", async (t) => {
  assertAwake(await enumerate(t, () => new SimulatedCrash("here"), 1_000));
});

test("a disk error at any point of any transaction stops the store, and the next start is sound", async (t) => {
  assertAwake(await enumerate(t, () => Object.assign(new Error("disk I/O error"), { errcode: 10 })));
});
