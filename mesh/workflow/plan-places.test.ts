import assert from "node:assert/strict";
import { test } from "node:test";
import type { Fleet } from "../config/fleet.ts";
import { readBindings, readPermissions } from "../config/reach.ts";
import { matrixOf } from "../policy/matrix.ts";
import type { Plan } from "./definition.ts";
import { planWorkflow } from "./plan.ts";
import { compile, facts, fleet as plain, HEAD } from "./testing/plans.ts";

const never = (_at: unknown, message: string): never => assert.fail(message);
const bindings = readBindings(
  {
    token: [{ to: "https://api.test", in: { header: "authorization" } }],
    other: [{ to: "https://api.test:8443", in: "basic" }],
  },
  never,
);
const may = readPermissions(
  [],
  {
    reach: ["https://api.test", "GET https://*.docs.test/pub/**", { to: "https://raw.test", tls: "passthrough" }],
    use: ["token"],
  },
  bindings,
  never,
);
const fleet: Fleet = {
  ...plain,
  bindings,
  databases: [
    {
      ...{ name: "books", host: "db.test", port: 5432, address: null, database: "b", role: "r", credential: "db_word" },
      ...{ readOnly: true, tls: "verify-full", ca: null, auth: "scram" },
    },
  ],
  agents: plain.agents.map((agent) =>
    agent.name === "clean" ? { ...agent, may: { ...agent.may, ...may, databases: ["books"] } } : agent,
  ),
};
const planOf = (grant: string, more = "accepts: untrusted"): Plan =>
  planWorkflow(compile(`${HEAD}steps:\n  a: { agent: clean, task: x, may: { ${grant} }, ${more} }\n`), {
    ...{ ...facts, fleet },
    matrix: matrixOf(fleet),
  });
const errors = ({ findings }: Plan): string[] =>
  findings
    .filter(({ severity }) => severity === "error")
    .map(({ rule, line, column, message, fix }) => `${rule} ${line}:${column} ${message} -> ${fix}`);

test("a plan names every place outside, what credential is put in there, and the line that allows it", () => {
  const plan = planOf('reach: ["GET https://api.test/v1/**", "GET https://eu.docs.test/pub/a/*"], databases: [books]');
  assert.deepEqual(errors(plan), []);
  const [step] = plan.steps;
  assert.deepEqual(
    step?.actions.filter(({ verb }) => verb !== "model.call"),
    [
      { verb: "web.request", target: "GET https://api.test/v1/**", rule: "agents.clean.may.reach: https://api.test" },
      {
        verb: "web.request",
        target: "GET https://eu.docs.test/pub/a/*",
        rule: "agents.clean.may.reach: GET https://*.docs.test/pub/**",
      },
      { verb: "database.connect", target: "books", rule: "agents.clean.may.databases: books" },
    ],
  );
  assert.deepEqual(
    step?.destinations.filter((place) => place.includes("test")),
    ["db.test:5432", "https://api.test", "https://eu.docs.test"],
  );
  assert.deepEqual(step?.credentials, ["db_word", "rehearsal", "token"]);
  assert.notEqual(plan.digest, planOf('reach: ["GET https://api.test/v1/**"]').digest);
  assert.deepEqual(planOf("reach: [], databases: []").digest, planOf("tools: []").digest);
});

test("what lies beyond the agent's own rights, or cannot be held, is found where it stands", () => {
  const found = (grant: string): string => errors(planOf(grant)).join("\n");
  for (const [grant, expected] of [
    ['reach: ["https://evil.test"]', /^permission 4:\d+ `clean` may not reach all of `https:\/\/evil\.test` -> add /],
    ['reach: ["GET https://x.docs.test"]', /^permission .*may not reach all of/],
    ['reach: ["https://x.docs.test/pub/a"]', /^permission .*may not reach all of/],
    ['reach: ["http://api.test"]', /^permission .*may not reach all of/],
    ['reach: ["https://api.test:8443"]', /^permission .*may not reach all of/],
    ['reach: ["GET https://raw.test"]', /^permission .*may not reach all of/],
    ["reach: [api.test]", /^reach 4:\d+ `api\.test` is not a place -> write `https:\/\/HOST`/],
    ["databases: [wages]", /^permission 4:\d+ `clean` may not use database `wages` -> add `wages` to/],
  ] as const)
    assert.match(found(grant), expected, grant);
  assert.equal(found('reach: ["https://raw.test"]'), "");
});

test("a place outside tells and is told: it taints, and what is tainted may leave there only when the step says so", () => {
  for (const grant of ['reach: ["https://api.test"]', "databases: [books]"]) {
    const said = errors(planOf(grant, "timeout: 1m")).join();
    assert.match(
      said,
      /^flow .*`(?:https:\/\/api\.test|books)` in `a` -> `.*` by `clean` in `a`: untrusted data can leave here/,
    );
    const out = `${HEAD}steps:
  a: { agent: clean, task: x, may: { ${grant} }, accepts: untrusted }
  out: { tool: output.write, as: writer, needs: [a], with: { path: b.md, content: "\${{ steps.a.output }}" } }
`;
    const plan = planWorkflow(compile(out), { ...facts, fleet, matrix: matrixOf(fleet) });
    assert.match(errors(plan).join(), /-> `a` -> `output\.write` in `out`: untrusted data can leave here/);
  }
});

test("an agent that may reach outside keeps what it read there, and brings it into a step that reaches nothing", () => {
  const text = `${HEAD}steps:
  a: { agent: clean, task: x }
  out: { tool: output.write, as: writer, needs: [a], with: { path: b.md, content: "\${{ steps.a.output }}" } }
`;
  const planned = (agents: Fleet["agents"]): string => {
    const other = { ...fleet, agents };
    return errors(planWorkflow(compile(text), { ...facts, fleet: other, matrix: matrixOf(other) })).join();
  };
  assert.equal(planned(plain.agents), "");
  assert.match(planned(fleet.agents), /the memory of `clean`, which elsewhere reads `https:\/\/api\.test` -> `a` -> /);
});

test("a tool reaches nothing by itself", () => {
  const text = `${HEAD}steps:\n  a: { tool: files.list, as: reader, may: { tools: [files.list], databases: [books] } }\n`;
  const plan = planWorkflow(compile(text), { ...facts, fleet, matrix: matrixOf(fleet) });
  assert.match(errors(plan).join(), /a tool reaches nothing outside by itself/);
});
