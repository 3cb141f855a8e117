import assert from "node:assert/strict";
import { test } from "node:test";
import type { RunSummary } from "../../protocol/run.ts";
import { partsOf } from "./line.ts";
import { statusLine } from "./run-view.ts";

test("why a run has ended is one line, whatever an agent has put into it", () => {
  const run = { id: "run_1", status: "failed", finishedAtMs: null, reason: "no\nrun_2 succeeded" } as RunSummary;
  const text = partsOf(statusLine(run)).map((part) => (typeof part === "object" ? part.text : String(part)));
  assert.equal(text.join(""), "run_1 failed: no\\u{a}run_2 succeeded");
});
