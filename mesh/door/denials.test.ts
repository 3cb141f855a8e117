import assert from "node:assert/strict";
import test from "node:test";
import { limits } from "../../protocol/limits.ts";
import { SimulatedClock } from "../../test/simulation/world.ts";
import type { AuditEvent } from "../audit/audit.ts";
import { denialsByCaller } from "./denials.ts";

test("the first refusals stand one by one, a flood is counted, and none is lost", async () => {
  const clock = new SimulatedClock("2026-03-01T10:00:00Z");
  const records: AuditEvent[] = [];
  const denials = denialsByCaller({ clock, audit: { record: async (event) => void records.push(event) } });
  const flooder = { agent: "flooder", sandbox: "sbx_1" };
  const asked = limits.door.denialsBurst + 5_000;
  for (let i = 0; i < asked; i++) await denials(flooder).record({ code: "denied", reason: "no" });
  assert.equal(records.length, limits.door.denialsBurst);
  await denials({ agent: "other", sandbox: "sbx_2" }).record({ code: "denied", reason: "no" });
  assert.equal(records.at(-1)?.subject, "agent:other", "another sandbox has a bucket of its own");

  clock.pass(limits.door.denialsTellMs);
  await new Promise((resolve) => setImmediate(resolve));
  const told = records.at(-1);
  assert.deepEqual([told?.subject, told?.detail["allow"], told?.detail["times"]], ["agent:flooder", false, 5_000]);
});
