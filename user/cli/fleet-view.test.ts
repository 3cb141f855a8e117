import assert from "node:assert/strict";
import { test } from "node:test";
import { partsOf } from "./line.ts";
import { eventLine } from "./fleet-view.ts";

test("an event is one line, whatever an agent has put into it", () => {
  const forged = "x` is not permitted\n12:00:00 mesh           sandbox.stopped     agent=victim\tby=operator";
  const line = eventLine({ seq: 1, atMs: 0, type: "call.denied", agent: "a", detail: { reason: forged } });
  const text = partsOf(line)
    .map((part) => (typeof part === "object" ? part.text : String(part)))
    .join("");
  assert.ok(!/[\n\t]/.test(text), text);
  assert.ok(text.includes("not permitted\\u{a}12:00:00"), text);
});
