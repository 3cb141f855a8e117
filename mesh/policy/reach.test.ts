import assert from "node:assert/strict";
import { test } from "node:test";
import { hostMatches, pathMatches } from "./reach.ts";

test("a star stands for exactly one label", () => {
  assert.ok(hostMatches("*.example.org", "a.example.org"));
  for (const host of [
    "example.org",
    "a.b.example.org",
    ".example.org",
    "aexample.org",
    "a.example.org.evil",
    "evil.org",
  ])
    assert.ok(!hostMatches("*.example.org", host), host);
  assert.ok(hostMatches("example.org", "example.org"));
  assert.ok(!hostMatches("example.org", "a.example.org"));
  assert.ok(!hostMatches("example.org", "exampleXorg"));
});

test("a pattern of paths matches whole segments, however they are escaped", () => {
  assert.ok(pathMatches(["/v1/*"], "/v1/users"));
  assert.ok(pathMatches(["/v1/*"], "/v1/%75sers"));
  assert.ok(pathMatches(["/v1/users"], "/%761/%75sers"));
  assert.ok(pathMatches(["/**"], "/"));
  assert.ok(!pathMatches(["/v1/*"], "/v1/a/b"));
  assert.ok(!pathMatches(["/v1/*"], "/v2/a"));
});

test("a path that servers read in different ways matches no pattern at all", () => {
  for (const path of [
    "/v1/..%2fadmin",
    "/v1/%5c..",
    "/v1/%252e%252e",
    "/v1/a%00",
    "/v1/..;/admin",
    "/v1/.;/a",
    "/v1/%2e%2e;/admin",
    "/v1/.%2E;a=b/admin",
    "/v1/%2e;/a",
    "/v1/%2F",
  ])
    assert.ok(!pathMatches(["/v1/**", "/**"], path), path);
});
