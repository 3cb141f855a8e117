/** What leaves the mesh is spent at once, beside holds that are open, within every cap, and stays spent. */
import assert from "node:assert/strict";
import test from "node:test";
import { InvariantError } from "../../lib/assert.ts";
import { createAudit } from "../../mesh/audit/create.ts";
import { createLedger } from "../../mesh/ledger/create.ts";
import type { Caps, Departed } from "../../mesh/ledger/ledger.ts";
import { openStore } from "../../mesh/store/open.ts";
import { auditKeys, countingIds, SimulatedClock, stateFolder } from "./world.ts";

const HOUR_MS = 3_600_000;
const DAY = { requests: 10, bytes: 1_000 };
const HOUR = { bytes: 600 };
const TO_API = { requests: 3 };
const caps: Caps = {
  day: DAY,
  month: {},
  rolling: [{ spanMs: HOUR_MS, cap: HOUR }],
  destinations: { "api.test": { day: TO_API, month: {} } },
};

test("what is sent counts in each window and to its destination, and a restart forgets nothing of it", async (t) => {
  const clock = new SimulatedClock("2026-05-10T00:00:00Z");
  const path = stateFolder(t);
  const keys = auditKeys();
  let run = 0;
  const open = async () => {
    const store = await openStore({ path, mode: "inline" });
    t.after(() => store.close());
    const audit = createAudit({ store, clock, ...keys });
    const parts = { store, audit, clock, ids: countingIds(run++), timeZone: "UTC", caps: () => caps };
    const ledger = await createLedger(parts);
    const send = async (more: Partial<Departed>): Promise<string> => {
      const spent = ledger.spend(["fleet", "agent:a"], { requests: 1, bytes: 0, destination: "else.test", ...more });
      if (!spent.ok) return `${spent.error.scope} ${spent.error.window} ${spent.error.unit}`;
      await store.commit(spent.value);
      return "sent";
    };
    return { store, audit, ledger, send };
  };
  const first = await open();
  assert.equal(await first.send({ bytes: 400 }), "sent");
  assert.equal(await first.send({ bytes: 201 }), `fleet rolling:${HOUR_MS} bytes`, "none of it, not a part");
  for (let i = 0; i < 3; i++) assert.equal(await first.send({ destination: "api.test" }), "sent");
  assert.equal(await first.send({ destination: "api.test" }), "fleet>api.test day requests");
  // A call whose hold is open and what is sent share one cap.
  const nothing = { tokens: 0, microUsd: 0 };
  const hold = first.ledger.reserve(["fleet", "agent:a"], nothing, "m", { requests: 1, bytes: 200 });
  assert.ok(hold.ok);
  await first.store.commit(hold.value.writes);
  assert.equal(await first.send({ bytes: 1 }), `fleet rolling:${HOUR_MS} bytes`);
  assert.deepEqual(first.ledger.recovered, []);
  await first.audit.close();
  await first.store.close();

  const second = await open();
  assert.equal(second.ledger.recovered.length, 1, "what is sent leaves no hold behind, the call does");
  assert.equal(await second.send({ bytes: 1 }), `fleet rolling:${HOUR_MS} bytes`);
  assert.equal(await second.send({ destination: "api.test" }), "fleet>api.test day requests");
  clock.pass(2 * HOUR_MS);
  assert.equal(await second.send({ bytes: 400 }), "sent", "the hour is over");
  assert.equal(await second.send({ bytes: 1 }), "fleet day bytes", "the day is not");
  assert.throws(() => second.ledger.spend(["fleet"], { requests: 1, bytes: -1, destination: "" }), InvariantError);
  await second.audit.close();
});
