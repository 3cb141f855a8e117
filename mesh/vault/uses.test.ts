import assert from "node:assert/strict";
import { test } from "node:test";
import { PairUses, VersionUses } from "./uses.ts";

test("each use of a version is counted in one transaction only", () => {
  const uses = new VersionUses("key", 3);
  uses.add(1);
  uses.add(2);
  assert.deepEqual(uses.lateRow(), ["credentials.use", 2, 2, "default", "key", 3]);
  uses.add(9);
  assert.deepEqual(uses.lateRow(), ["credentials.use", 1, 9, "default", "key", 3]);
});

test("so is each use by an agent, with the hours of all and the first and the last moment of these", () => {
  const uses = new PairUses("key", "ant", "openai", 0b100);
  uses.add(0b001, 5);
  uses.add(0b010, 6);
  assert.deepEqual(uses.lateRow(), ["credentialUses.add", "default", "key", "ant", "openai", 2, 0b111, 5, 6]);
  uses.add(0b010, 8);
  assert.deepEqual(uses.lateRow(), ["credentialUses.add", "default", "key", "ant", "openai", 1, 0b111, 8, 8]);
});
