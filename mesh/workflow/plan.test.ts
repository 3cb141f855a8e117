import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { globMatches } from "../../lib/glob.ts";
import { toolNames } from "../../protocol/door.ts";
import { decide, type Action, type Matrix } from "../policy/decide.ts";
import type { Narrowing } from "./definition.ts";
import { globCovers, globsMeet } from "./glob-cover.ts";
import { decideInStep } from "./narrow.ts";
import { isAllowed, planWorkflow } from "./plan.ts";
import { digestOfPlan } from "./plan-digest.ts";
import { secretsIn } from "./plan-secrets.ts";
import { compile, facts, findingsOf, HEAD, planOf } from "./testing/plans.ts";

const REVIEW = `${HEAD}steps:
  read: { tool: files.read, as: reader, with: { path: a.md } }
  think: { agent: clean, task: Sum up., needs: [read], with: { t: "\${{ steps.read.output.content }}" }, budget: { tokens: 4k } }
  ok: { approve: { ask: Write it?, roles: [editor], expires: 1h }, needs: [think], with: { t: "\${{ steps.think.output }}" } }
  write: { tool: output.write, as: writer, needs: [ok], with: { path: b.md, content: "\${{ steps.think.output }}" } }
`;

test("a plan names everything that can be touched, with the line that grants it", () => {
  const plan = planOf(REVIEW);
  assert.ok(isAllowed(plan));
  const [read, think, ok, write] = plan.steps;
  assert.deepEqual(read?.actions, [
    { verb: "tool.call", target: "files.read", rule: "agents.reader.may.tools: files.read" },
  ]);
  assert.deepEqual(think?.actions, [{ verb: "model.call", target: "rehearsal/echo", rule: "agents.clean.model" }]);
  assert.deepEqual([think?.destinations, think?.credentials], [["rehearsal"], ["rehearsal"]]);
  assert.deepEqual(ok?.actions, []);
  assert.equal(write?.agent, "writer");
});

test("worst cases: the step's cap, else the agent's and the fleet's walls; money follows from tokens", () => {
  const plan = planOf(REVIEW);
  assert.deepEqual(plan.steps[1]?.worst, { attempts: 1, calls: 32, tokens: 4_000, microUsd: 60_000 });
  assert.deepEqual(plan.worst, { attempts: 4, calls: 32, tokens: 4_000, microUsd: 60_000 });
  const open = planOf(`${HEAD}steps: { a: { agent: clean, task: x, retry: { attempts: 3 } } }`);
  // Two days can be touched; the day of `clean` has 100,000 tokens.
  assert.deepEqual(open.worst, { attempts: 3, calls: 96, tokens: 200_000, microUsd: 3_000_000 });
  const map = (
    items: number,
  ): string => `${HEAD}input: { type: object, properties: { l: { type: array } }, required: [l] }
steps: { a: { map: { over: "\${{ input.l }}", items_max: ${items}, each: { agent: clean, task: x, budget: { tokens: 1k } } } } }`;
  assert.equal(planOf(map(7)).worst.tokens, 7_000);
  assert.equal(planOf(map(7), { l: [1, 2] }).worst.tokens, 2_000);
  assert.equal(planOf(map(5_000)).worst.tokens, 200_000);
});

test("the walls of an agent's teams and of its tenant hold in a plan, too; those of others do not", () => {
  const wall = (name: string, members: readonly string[], tokens: number) => ({
    ...{ name, members },
    budget: { day: { tokens }, month: {} },
  });
  const worst = (more: Pick<typeof facts.fleet, "tenants"> & Partial<Pick<typeof facts.fleet, "teams">>): number => {
    const walled = { ...facts, fleet: { ...facts.fleet, ...more } };
    return planWorkflow(compile(`${HEAD}steps: { a: { agent: clean, task: x } }`), walled).worst.tokens;
  };
  const own = worst({});
  assert.ok(own > 20_000);
  // Two days can be touched.
  assert.equal(worst({ tenants: [wall("acme", ["clean"], 900)] }), 1_800);
  assert.equal(worst({ tenants: [wall("acme", ["reader"], 900)] }), own);
  assert.equal(worst({ tenants: [wall("acme", ["clean"], 900)], teams: [wall("red", ["clean"], 700)] }), 1_400);
});

test("the digest is of what can happen: not of spelling, comments and findings", () => {
  const plan = planOf(REVIEW);
  assert.equal(plan.digest, planOf(`# a comment\n${REVIEW.replaceAll("{ ", "{  ")}`).digest);
  assert.equal(plan.digest, digestOfPlan(plan));
  assert.match(plan.digest, /^[0-9a-f]{64}$/);
  const others = [
    planOf(REVIEW.replace("Sum up.", "Sum up!")),
    planOf(REVIEW.replace("4k", "5k")),
    planOf(REVIEW.replace("[editor]", "[editor, chief]")),
    planOf(REVIEW.replace("expires: 1h", "expires: 2h")),
    planOf(REVIEW, {}),
  ];
  assert.equal(new Set([plan, ...others].map(({ digest }) => digest)).size, 6);
});

test("an approval clears a flow only when it shows the same data and cannot be gone round", () => {
  const severe = (text: string): string =>
    findingsOf(text)
      .filter((line) => line.startsWith("error flow"))
      .join();
  assert.equal(severe(REVIEW), "");
  assert.match(findingsOf(REVIEW).join("\n"), /^note flow 7:10 .*a person approves exactly this before/m);
  for (const [why, text] of [
    [
      "shows something else",
      REVIEW.replace('{ t: "${{ steps.think.output }}" } }\n  write', "{ t: nothing } }\n  write"),
    ],
    [
      "shows other data",
      REVIEW.replace('{ t: "${{ steps.think.output }}" } }\n  write', '{ t: "${{ run.id }}" } }\n  write'),
    ],
    ["is not needed", REVIEW.replace("needs: [ok]", "needs: [think]")],
    ["is one of two ways", REVIEW.replace("needs: [ok]", "needs: [ok, think], join: any")],
    ["need not be done", REVIEW.replace("needs: [ok]", "needs: [ok, think], join: settled")],
    [
      "has a fallback",
      `${REVIEW.replace("approve:", "on_error: fallback, fallback: yes_man, approve:")}  yes_man: { agent: clean, task: say yes }\n`,
    ],
  ] as const)
    assert.match(severe(text), /`files\.read` -> `read` -> `think` -> `output\.write` in `write`/, why);
});

test("flows are followed through maps, fallbacks, boards and workflows", () => {
  const out = (reference: string, needs: string): string =>
    `  out: { tool: output.write, as: writer, needs: [${needs}], with: { path: b.md, content: "\${{ ${reference} }}" } }\n`;
  const flow = /error flow .*-> `output\.write` in `out`/;
  const viaMap = `${HEAD}steps:\n  a: { map: { over: [a.md], each: { tool: files.read, as: reader, with: { path: "\${{ item }}" } } } }\n${out("steps.a.output", "a").replace('"${{', '"x ${{')}`;
  const viaFallback = `${HEAD}steps:\n  a: { agent: clean, task: x, on_error: fallback, fallback: b }\n  b: { agent: reader, task: x, may: { tools: [files.read] } }\n${out("steps.a.output", "a")}`;
  const viaBoard = `${HEAD}steps:\n  a: { tool: board.read, as: keeper, with: { key: notes/x } }\n${out("steps.a.output.value", "a")}`;
  const viaWait = `${HEAD}steps:\n  a: { wait: { board: notes/x }, as: keeper }\n${out("steps.a.output.value", "a")}`;
  for (const text of [viaMap, viaFallback, viaBoard, viaWait]) assert.match(findingsOf(text).join("\n"), flow, text);
  const child = `${HEAD}output: { type: string }\nresult: "\${{ steps.r.output.content }}"\nsteps: { r: { tool: files.read, as: reader, with: { path: a.md } } }`;
  const viaWorkflow = `${HEAD}steps:\n  a: { workflow: c.yaml }\n${out("steps.a.output", "a")}`;
  assert.match(
    findingsOf(viaWorkflow, undefined, () => ({ ok: true, value: { file: "c.yaml", text: child } })).join("\n"),
    flow,
  );
  const clean = `${HEAD}steps:\n  a: { agent: clean, task: x }\n${out("steps.a.output", "a")}`;
  assert.deepEqual(findingsOf(clean), []);
});

test("secrets in clear text are found and not repeated", () => {
  const secrets = [
    `key: sk-${"a1B2".repeat(8)}`,
    `- ghp_${"x9".repeat(18)}`,
    `  token: "${"h".repeat(12)}"`,
    `AKIA${"A".repeat(16)}`,
    `-----BEGIN RSA ${"PRIVATE"} KEY-----`,
    `note: ${"aB3".repeat(15)}`,
    `{ password: ${"q".repeat(9)} }`.replace(" }", ""),
  ];
  for (const line of secrets) {
    const [fault, ...more] = secretsIn(`first: line\n${line}`);
    assert.equal(fault?.line, 2, line);
    assert.equal(more.length, 0);
    assert.ok(!JSON.stringify(fault).includes(line.slice(-8)));
  }
  for (const line of [
    "task: describe the tokenizer",
    "token: ${{ input.token }}",
    "tokens: 200k",
    "path: examples/workflows/press-review/a-long-name-of-a-file.yaml",
    `digest: ${"0a".repeat(32)}`,
    "secret: no",
  ])
    assert.deepEqual(secretsIn(line), [], line);
});

const segment = fc.constantFrom("a", "b", "ab", "*", "a*", "**");
const glob = fc.array(segment, { minLength: 1, maxLength: 4 }).map((parts) => parts.join("/"));
const key = fc
  .array(fc.constantFrom("a", "b", "ab", "ba"), { minLength: 1, maxLength: 4 })
  .map((parts) => parts.join("/"));

test("a pattern that covers another matches all that the other matches; patterns that meet nowhere share no key", () => {
  let covered = 0;
  fc.assert(
    fc.property(glob, glob, key, (outer, inner, name) => {
      if (globCovers(outer, inner)) {
        covered++;
        assert.ok(!globMatches(inner, name) || globMatches(outer, name));
      }
      assert.ok(globsMeet(outer, inner) || !(globMatches(outer, name) && globMatches(inner, name)));
    }),
    { seed: 5, numRuns: 5_000 },
  );
  assert.ok(covered > 500, `${covered}`);
});

const tools = fc.subarray([...toolNames]);
const patterns = fc.array(glob, { maxLength: 3 });
const names = fc.subarray(["x", "y", "z"]);
const narrowing: fc.Arbitrary<Narrowing> = fc.record({
  tools,
  message: names,
  blackboard: fc.record({ read: patterns, write: patterns }),
  reach: fc.constant([]),
});
const action: fc.Arbitrary<Action> = fc.oneof(
  fc.record({ verb: fc.constant("tool.call" as const), tool: fc.constantFrom(...toolNames) }),
  fc.record({ verb: fc.constantFrom("board.read" as const, "board.write" as const, "board.history" as const), key }),
  fc.record({ verb: fc.constant("message.send" as const), to: fc.constantFrom("x", "y", "z") }),
  fc.record({ verb: fc.constantFrom("topic.publish" as const, "topic.subscribe" as const), topic: key }),
  fc.constant({ verb: "board.list" as const }),
  fc.constant({ verb: "model.call" as const, model: "p/other" }),
);

test("no narrowing widens anything, and all that it does not name is denied", () => {
  let allowed = 0;
  fc.assert(
    fc.property(narrowing, narrowing, action, (granted, may, what) => {
      const { reach: _, ...grants } = granted;
      const matrix: Matrix = new Map([
        ["x", { ...grants, models: ["p/m"], topics: { publish: ["**"], subscribe: ["**"] } }],
      ]);
      const inStep = decideInStep(matrix, may, "x", what);
      if (inStep.allow) {
        allowed++;
        assert.ok(decide(matrix, "x", what).allow, "the fleet file allows it");
        const { reach: __, ...named } = may;
        assert.ok(decide(new Map([["x", { ...named, models: ["p/m"] }]]), "x", what).allow, "the step names it");
      } else {
        assert.ok(inStep.refusal.reason !== "" && inStep.refusal.remedy !== "");
      }
    }),
    { seed: 5, numRuns: 4_000 },
  );
  assert.ok(allowed > 100, `${allowed}`);
  assert.equal(
    decideInStep(facts.matrix, { tools: [], message: [], blackboard: { read: [], write: [] }, reach: [] }, "nobody", {
      verb: "board.list",
    }).allow,
    false,
  );
});
