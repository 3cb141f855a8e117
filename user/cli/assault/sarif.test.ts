import assert from "node:assert/strict";
import { it } from "node:test";
import type { AssaultResult } from "../../../protocol/assault.ts";
import { sarifOf } from "./sarif.ts";

const attempt = { title: "t", threat: "host", owasp: ["ASI05"], stoppedBy: "", evidence: "e" } as const;
const results: readonly AssaultResult[] = [
  { ...attempt, id: "a", grade: "escape", verdict: "out" },
  { ...attempt, id: "b", grade: "surface", verdict: "out" },
  { ...attempt, id: "c", grade: "escape", verdict: "stopped", stoppedBy: "a wall" },
  { ...attempt, id: "d", grade: "escape", verdict: "unknown" },
];

type Node = { readonly [key: string]: Node } & { readonly length: number } & readonly Node[] & string;
const at = (node: unknown, ...path: readonly (string | number)[]): Node =>
  path.reduce<unknown>((inner, key) => (inner as Record<string | number, unknown>)?.[key], node) as Node;

/** What the published schema requires, and the values it allows, of all objects that we make. */
function assertValid(log: unknown): void {
  assert.equal(at(log, "version"), "2.1.0");
  assert.match(at(log, "$schema"), /sarif-schema-2\.1\.0\.json$/);
  assert.ok(Array.isArray(at(log, "runs")));
  for (const run of at(log, "runs")) {
    assert.equal(typeof at(run, "tool", "driver", "name"), "string");
    const rules = at(run, "tool", "driver", "rules");
    for (const rule of rules) {
      assert.equal(typeof at(rule, "id"), "string");
      assert.equal(typeof at(rule, "shortDescription", "text"), "string");
      assert.ok(["none", "note", "warning", "error"].includes(at(rule, "defaultConfiguration", "level")));
      assert.equal(new Set(at(rule, "properties", "tags")).size, at(rule, "properties", "tags").length);
    }
    for (const invocation of at(run, "invocations")) {
      assert.equal(typeof at(invocation, "executionSuccessful"), "boolean");
      for (const notification of at(invocation, "toolExecutionNotifications") ?? [])
        assert.equal(typeof at(notification, "message", "text"), "string");
    }
    for (const result of at(run, "results")) {
      assert.equal(typeof at(result, "message", "text"), "string");
      assert.equal(at(rules, at(result, "ruleIndex"), "id"), at(result, "ruleId"));
      assert.ok(["pass", "open", "fail"].includes(at(result, "kind")));
      assert.ok(["none", "note", "warning", "error"].includes(at(result, "level")));
      // SARIF 3.27.10: a level other than `none` belongs to `fail` alone.
      assert.equal(at(result, "level") === "none", at(result, "kind") !== "fail");
      for (const location of at(result, "locations"))
        assert.equal(typeof at(location, "logicalLocations", 0, "name"), "string");
    }
  }
}

it("is SARIF 2.1.0 with a result for each attempt", () => {
  const log = JSON.parse(JSON.stringify(sarifOf({ subject: "s", results }, "1.2.3"))) as unknown;
  assertValid(log);
  const found = [...at(log, "runs", 0, "results")].map((each) => `${at(each, "kind")} ${at(each, "level")}`);
  assert.deepEqual(found, ["fail error", "fail warning", "pass none", "open none"]);
  assert.equal(at(log, "runs", 0, "invocations", 0, "executionSuccessful"), true);
});

it("says when there was no verdict", () => {
  const log: unknown = sarifOf({ subject: "s", results: [], fault: "it did not run" }, "1");
  assertValid(log);
  assert.equal(at(log, "runs", 0, "invocations", 0, "executionSuccessful"), false);
});
