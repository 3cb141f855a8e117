import assert from "node:assert/strict";
import { test } from "node:test";
import { nearest } from "./nearest.ts";

test("the word within two edits is meant, the nearest first", () => {
  const known = ["budget", "budgets", "agents", "agent"];
  assert.equal(nearest("budgte", known), "budget");
  assert.equal(nearest("agent", known), "agent");
  assert.equal(nearest("agnets", known), "agents");
  assert.equal(nearest("agentss", known), "agents");
});

test("nothing is meant when nothing is near", () => {
  assert.equal(nearest("sandbox", ["budget", "model"]), undefined);
  assert.equal(nearest("", ["abc"]), undefined);
  assert.equal(nearest("word", []), undefined);
  assert.equal(nearest("x".repeat(1_000_000), ["budget"]), undefined);
});

test("two letters that have changed places are nearer than two other edits", () => {
  assert.equal(nearest("modle", ["role", "mode", "model"]), "mode");
  assert.equal(nearest("modle", ["role", "model"]), "model");
  assert.equal(nearest("ab", ["ba", "abcd"]), "ba");
});
