import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { readPermissions, readReachLine } from "../config/reach.ts";
import { decide, type Action, type Matrix } from "../policy/decide.ts";
import type { Narrowing } from "./definition.ts";
import { reachCovers } from "./narrow-reach.ts";
import { decideInStep } from "./narrow.ts";

const METHODS = ["GET", "POST"];
const HOSTS = ["a.test", "x.a.test", "y.x.a.test", "b.test"];
const PATHS = ["/", "/a", "/a/b", "/a/b/c"];

const line = fc
  .tuple(
    fc.constantFrom("", "GET ", "POST ", "GET,POST "),
    fc.constantFrom("https", "http"),
    fc.constantFrom(...HOSTS, "*.a.test", "*.x.a.test"),
    fc.constantFrom("", ":8443"),
    fc.constantFrom("", "/", "/a", "/*", "/**", "/a/*", "/a/**", "/*/b"),
  )
  .map(([methods, scheme, host, port, path]) => `${methods}${scheme}://${host}${port}${path}`);
const request: fc.Arbitrary<Action> = fc.record({
  verb: fc.constant("web.request" as const),
  scheme: fc.constantFrom("https" as const, "http" as const),
  host: fc.constantFrom(...HOSTS),
  port: fc.constantFrom(443, 80, 8443),
  method: fc.constantFrom(...METHODS, "PUT"),
  path: fc.constantFrom(...PATHS),
});
const tunnel: fc.Arbitrary<Action> = fc.record({
  verb: fc.constant("web.tunnel" as const),
  host: fc.constantFrom(...HOSTS),
  port: fc.constantFrom(443, 80, 8443),
});
const database: fc.Arbitrary<Action> = fc.record({
  verb: fc.constant("database.connect" as const),
  database: fc.constantFrom("books", "wages"),
});

const ruleOf = (text: string) => {
  const rule = readReachLine(text);
  assert.ok(rule.ok, text);
  return rule.value;
};
const matrixWith = (reach: readonly string[], databases: readonly string[] = []): Matrix => {
  const grants = { message: [], blackboard: { read: [], write: [] }, tools: [], models: [], databases };
  return new Map([["a", { ...grants, reach: reach.map(ruleOf) }]]);
};
const step = (reach: readonly string[], databases: readonly string[] = []): Narrowing => {
  return { tools: [], blackboard: { read: [], write: [] }, message: [], reach, databases };
};

const everyRequest: readonly Action[] = HOSTS.flatMap((host) =>
  [443, 80, 8443].flatMap((port) =>
    (["https", "http"] as const).flatMap((scheme) =>
      ["GET", "POST", "PUT"].flatMap((method) =>
        PATHS.map((path): Action => ({ verb: "web.request", scheme, host, port, method, path })),
      ),
    ),
  ),
);

test("a line that covers another allows every request that the other allows", () => {
  let covered = 0;
  let allowed = 0;
  fc.assert(
    fc.property(line, line, (outer, inner) => {
      assert.ok(reachCovers(ruleOf(inner), ruleOf(inner)), inner);
      if (!reachCovers(ruleOf(outer), ruleOf(inner))) return;
      covered++;
      const [wide, narrow] = [matrixWith([outer]), matrixWith([inner])];
      for (const action of everyRequest) {
        if (!decide(narrow, "a", action).allow) continue;
        allowed++;
        assert.ok(decide(wide, "a", action).allow, `${outer} | ${inner} | ${JSON.stringify(action)}`);
      }
    }),
    { seed: 7, numRuns: 10_000 },
  );
  assert.ok(covered > 100 && allowed > 200, `${covered} ${allowed}`);
});

test("in a step a place outside needs the fleet file and the step, and nothing else", () => {
  let allowed = 0;
  fc.assert(
    fc.property(
      fc.array(line, { maxLength: 3 }),
      fc.array(line, { maxLength: 3 }),
      fc.subarray(["books", "wages"]),
      fc.subarray(["books", "wages"]),
      fc.oneof(request, tunnel, database),
      (own, named, ownBases, namedBases, action) => {
        const inStep = decideInStep(matrixWith(own, ownBases), step(named, namedBases), "a", action).allow;
        const both = [matrixWith(own, ownBases), matrixWith(named, namedBases)];
        assert.equal(
          inStep,
          both.every((matrix) => decide(matrix, "a", action).allow),
        );
        if (inStep) allowed++;
      },
    ),
    { seed: 7, numRuns: 20_000 },
  );
  assert.ok(allowed > 100, `${allowed}`);
});

test("a tunnel that is passed through unread is opened only for a step that names the whole place", () => {
  const { reach = [] } = readPermissions(
    [],
    { reach: [{ to: "https://a.test", tls: "passthrough" }, "https://b.test"] },
    [],
    () => assert.fail("it can be read"),
  );
  const grants = { message: [], blackboard: { read: [], write: [] }, tools: [], models: [], reach };
  const may = (named: string, host: string): boolean =>
    decideInStep(new Map([["a", grants]]), step([named]), "a", { verb: "web.tunnel", host, port: 443 }).allow;
  assert.deepEqual(
    [
      may("https://a.test", "a.test"),
      may("GET https://a.test", "a.test"),
      may("https://a.test/x", "a.test"),
      may("GET https://b.test/x", "b.test"),
      may("https://b.test", "a.test"),
    ],
    [true, false, false, true, false],
  );
  assert.ok(!reachCovers(reach[0]!, ruleOf("GET https://a.test")));
  assert.ok(reachCovers(reach[0]!, ruleOf("https://a.test")));
});

test("a line of a plan that cannot be read allows nothing", () => {
  const action: Action = {
    ...{ verb: "web.request", scheme: "https", host: "a.test" },
    ...{ port: 443, method: "GET", path: "/" },
  };
  assert.ok(decideInStep(matrixWith(["https://a.test"]), step(["https://a.test"]), "a", action).allow);
  for (const broken of ["https://", "a.test", "ftp://a.test", "https://*.test", "TRACE https://a.test"])
    assert.ok(!decideInStep(matrixWith(["https://a.test"]), step([broken]), "a", action).allow, broken);
});
