import assert from "node:assert/strict";
import { test } from "node:test";

/** A house rule: what it reads, what it complains of, and proof that it is awake. */
export interface Guard<T> {
  readonly name: string;
  /** What is checked. A rule that scanned nothing fails. */
  readonly over: readonly T[];
  /** Complaints, each naming the place and the fix. */
  readonly faults: (item: T) => readonly string[];
  /** Bad samples: each must draw a complaint. */
  readonly sabotage: readonly T[];
  /** Good samples close to the bad ones: none may draw one. */
  readonly harmless?: readonly T[];
}

export function guard<T>(rule: Guard<T>): void {
  test(rule.name, () => {
    assert.ok(rule.over.length > 0, "scanned nothing");
    const faults = rule.over.flatMap((item) => rule.faults(item));
    assert.equal(faults.length, 0, `\n${faults.join("\n")}`);
  });
  test(`${rule.name}: complains of sabotage`, () => {
    assert.ok(rule.sabotage.length > 0, "no sabotage case");
    for (const sample of rule.sabotage) assert.notDeepEqual(rule.faults(sample), [], `let pass: ${show(sample)}`);
    for (const sample of rule.harmless ?? []) assert.deepEqual(rule.faults(sample), [], `refused: ${show(sample)}`);
  });
}

const show = (sample: unknown): string => (typeof sample === "string" ? sample : (JSON.stringify(sample) ?? "?"));
