import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { globMatches } from "../../lib/glob.ts";
import { toolNames, type ToolName } from "../../protocol/door.ts";
import type { Fleet } from "../config/fleet.ts";
import { readPermissions } from "../config/reach.ts";
import type { ReachRule } from "./reach.ts";
import { decide, type Action, type Grants, type Matrix } from "./decide.ts";
import { matrixOf } from "./matrix.ts";

const NOTHING: Grants = { message: [], blackboard: { read: [], write: [] }, tools: [], models: [] };
const allowed = (grants: Grants, action: Action, agent = "a"): boolean =>
  decide(new Map([["a", grants]]), agent, action).allow;

const actions: readonly Action[] = [
  { verb: "model.call", model: "p/m" },
  { verb: "message.send", to: "b" },
  { verb: "board.list" },
  { verb: "board.read", key: "x/y" },
  { verb: "board.write", key: "x/y" },
  { verb: "board.watch" },
  { verb: "board.history", key: "x/y" },
  { verb: "topic.publish", topic: "t/u" },
  { verb: "topic.subscribe", topic: "t/u" },
  { verb: "database.connect", database: "d" },
  { verb: "git.fetch", repository: "g" },
  { verb: "git.push", repository: "g" },
  { verb: "web.tunnel", host: "h.example", port: 443 },
  { verb: "web.request", scheme: "https", host: "h.example", port: 443, method: "GET", path: "/p" },
  ...toolNames.map((tool): Action => ({ verb: "tool.call", tool })),
];

/** One grant each; every pair of grant and action that is not named here is a denial. */
const grants: readonly (readonly [Partial<Grants>, (action: Action) => boolean])[] = [
  [{ models: ["p/m"] }, ({ verb }) => verb === "model.call"],
  [{ message: ["b"] }, ({ verb }) => verb === "message.send"],
  [
    { blackboard: { read: ["x/*"], write: [] } },
    ({ verb }) => ["board.read", "board.list", "board.watch", "board.history"].includes(verb),
  ],
  [{ topics: { publish: ["t/*"], subscribe: ["t"] } }, ({ verb }) => verb === "topic.publish"],
  [{ topics: { publish: ["u/**"], subscribe: ["t/**"] } }, ({ verb }) => verb === "topic.subscribe"],
  [readPermissions([], { reach: ["GET https://h.example/p"] }, [], () => {}), ({ verb }) => verb.startsWith("web.")],
  [{ databases: ["d"] }, ({ verb }) => verb === "database.connect"],
  [{ repositories: ["g"] }, ({ verb }) => verb.startsWith("git.")],
  [{ blackboard: { read: [], write: ["x/**"] } }, ({ verb }) => verb === "board.write"],
  ...toolNames.map(
    (tool) => [{ tools: [tool] }, (action: Action) => action.verb === "tool.call" && action.tool === tool] as const,
  ),
];

test("each grant allows its own actions and no other; nothing allows nothing", () => {
  for (const action of actions) {
    assert.equal(allowed(NOTHING, action), false);
    for (const [grant, expected] of grants) {
      assert.equal(allowed({ ...NOTHING, ...grant }, action), expected(action), JSON.stringify([grant, action]));
    }
  }
});

const ALL: Grants = {
  message: ["b", "a"],
  blackboard: { read: ["**"], write: ["**"] },
  tools: toolNames,
  models: ["p/m"],
};

test("an agent that is not in the fleet may do nothing, whatever its name", () => {
  for (const agent of ["b", "", "A", "a ", "__proto__", "constructor", "agents.a"]) {
    for (const action of actions) assert.equal(allowed(ALL, action, agent), false, agent);
  }
});

test("an action that is not known is denied with a reason", () => {
  for (const verb of ["", "board.delete", "__proto__", "toString", "BOARD.LIST"]) {
    const decision = decide(new Map([["a", ALL]]), "a", {
      verb,
      key: "x",
      to: "b",
      tool: "files.read",
      model: "p/m",
    } as unknown as Action);
    assert.deepEqual(decision, {
      allow: false,
      refusal: { code: "denied", reason: "unknown action", remedy: "use an action of the door's protocol" },
    });
  }
});

test("names are compared whole: no prefix, case or pattern stands for another", () => {
  assert.equal(allowed({ ...NOTHING, models: ["p/*"] }, { verb: "model.call", model: "p/m" }), false);
  assert.equal(allowed({ ...NOTHING, models: ["p/m"] }, { verb: "model.call", model: "p/m2" }), false);
  assert.equal(allowed({ ...NOTHING, message: ["*"] }, { verb: "message.send", to: "b" }), false);
  assert.equal(allowed({ ...NOTHING, message: ["bb"] }, { verb: "message.send", to: "b" }), false);
});

const key = fc.array(fc.constantFrom("a", "b", "ab"), { minLength: 1, maxLength: 3 }).map((parts) => parts.join("/"));
const glob = fc
  .array(fc.constantFrom("a", "b", "*", "**", "a*"), { minLength: 1, maxLength: 3 })
  .map((parts) => parts.join("/"));
const name = fc.constantFrom("a", "b", "c");
const model = fc.constantFrom("p/a", "p/b");
const tool = fc.constantFrom(...toolNames);
const list = <T>(item: fc.Arbitrary<T>): fc.Arbitrary<readonly T[]> => fc.array(item, { maxLength: 3 });
const scheme = fc.constantFrom("http" as const, "https" as const);
const host = fc.constantFrom("a.example", "b.example", "::1");
const port = fc.constantFrom(443, 8_443, 80);
const method = fc.constantFrom("GET", "POST");
const reach: fc.Arbitrary<ReachRule> = fc.record({
  text: fc.constant("rule"),
  ...{ scheme, host, port },
  methods: fc.option(fc.array(method, { minLength: 1, maxLength: 2 })),
  paths: fc.option(
    fc.array(
      glob.map((path) => `/${path}`),
      { minLength: 1, maxLength: 2 },
    ),
  ),
  address: fc.constant(null),
  tls: fc.constantFrom("intercept" as const, "passthrough" as const),
});
const anyGrants: fc.Arbitrary<Grants> = fc.record({
  message: list(name),
  blackboard: fc.record({ read: list(glob), write: list(glob) }),
  tools: list(tool),
  topics: fc.record({ publish: list(glob), subscribe: list(glob) }),
  models: list(model),
  reach: list(reach),
  databases: list(name),
  repositories: list(name),
});
const anyMatrix: fc.Arbitrary<Matrix> = fc
  .array(fc.tuple(name, anyGrants), { maxLength: 3 })
  .map((rows) => new Map(rows));
const anyAction: fc.Arbitrary<Action> = fc.oneof(
  fc.record({ verb: fc.constant("model.call" as const), model }),
  fc.record({ verb: fc.constant("message.send" as const), to: name }),
  fc.constant({ verb: "board.list" as const }),
  fc.record({ verb: fc.constant("board.read" as const), key }),
  fc.record({ verb: fc.constant("board.write" as const), key }),
  fc.constant({ verb: "board.watch" as const }),
  fc.record({ verb: fc.constant("board.history" as const), key }),
  fc.record({ verb: fc.constantFrom("topic.publish" as const, "topic.subscribe" as const), topic: key }),
  fc.record({ verb: fc.constant("tool.call" as const), tool }),
  fc.record({ verb: fc.constant("database.connect" as const), database: name }),
  fc.record({ verb: fc.constantFrom("git.fetch" as const, "git.push" as const), repository: name }),
  fc.record({ verb: fc.constant("web.tunnel" as const), host, port }),
  fc.record({
    verb: fc.constant("web.request" as const),
    scheme,
    host,
    port,
    method,
    path: key.map((path) => `/${path}`),
  }),
);

function oracle(matrix: Matrix, agent: string, action: Action): boolean {
  const row = [...matrix].find(([held]) => held === agent)?.[1];
  if (!row) return false;
  if (action.verb === "model.call") return row.models.some((held) => held === action.model);
  if (action.verb === "message.send") return row.message.some((held) => held === action.to);
  if (action.verb === "tool.call") return row.tools.some((held) => held === action.tool);
  if (action.verb === "board.list" || action.verb === "board.watch") return row.blackboard.read.length !== 0;
  if (action.verb === "topic.publish" || action.verb === "topic.subscribe") {
    const held = row.topics?.[action.verb === "topic.publish" ? "publish" : "subscribe"] ?? [];
    return held.some((pattern) => globMatches(pattern, action.topic));
  }
  if (action.verb === "database.connect") return (row.databases ?? []).some((held) => held === action.database);
  if (action.verb === "git.fetch" || action.verb === "git.push")
    return (row.repositories ?? []).some((held) => held === action.repository);
  if (action.verb === "web.tunnel")
    return (row.reach ?? []).some((rule) => action.host === rule.host && action.port === rule.port);
  if (action.verb === "web.request") {
    return (row.reach ?? []).some(
      ({ scheme, host, port, methods, paths, tls }) =>
        `${scheme} ${host} ${port} ${tls}` === `${action.scheme} ${action.host} ${action.port} intercept` &&
        (methods === null || methods.some((method) => method === action.method)) &&
        (paths === null || paths.some((path) => globMatches(path, action.path))),
    );
  }
  return row.blackboard[action.verb === "board.write" ? "write" : "read"].some((held) => globMatches(held, action.key));
}

test("allows exactly what a naive reading of the matrix allows", () => {
  fc.assert(
    fc.property(anyMatrix, name, anyAction, (matrix, agent, action) => {
      assert.equal(decide(matrix, agent, action).allow, oracle(matrix, agent, action));
    }),
    { seed: 9, numRuns: 5_000 },
  );
});

const frozen = <T>(value: T): T => {
  if (typeof value === "object" && value !== null) Object.values(value).forEach(frozen);
  return Object.freeze(value);
};

test("is pure: frozen input, and the same answer each time", () => {
  fc.assert(
    fc.property(anyMatrix, name, anyAction, (matrix, agent, action) => {
      const held: Matrix = new Map([...matrix].map(([row, value]) => [row, frozen(value)]));
      assert.deepEqual(decide(held, agent, frozen(action)), decide(held, agent, action));
    }),
    { seed: 10, numRuns: 500 },
  );
});

/** Does what a remedy says, word for word. */
function apply(matrix: Matrix, agent: string, remedy: string): Matrix {
  const held = matrix.get(agent) ?? NOTHING;
  const change = (grants: Partial<Grants>): Matrix => new Map([...matrix, [agent, { ...held, ...grants }]]);
  if (remedy === "declare it in the fleet file") return change({});
  const [, wanted, place] = /^add (`[^`]+`|a pattern) to `([^`]+)`$/.exec(remedy) ?? [];
  const item = wanted === "a pattern" ? "any/**" : (wanted ?? "").slice(1, -1);
  if (place === `agents.${agent}.may.message`) return change({ message: [...held.message, item] });
  if (place === `agents.${agent}.may.databases`) return change({ databases: [...(held.databases ?? []), item] });
  if (place === `agents.${agent}.may.repositories`)
    return change({ repositories: [...(held.repositories ?? []), item] });
  if (place === `agents.${agent}.may.tools`) return change({ tools: [...held.tools, item as ToolName] });
  const side = /^agents\.(.+)\.may\.blackboard\.(read|write)$/.exec(place ?? "");
  if (side?.[1] === agent)
    return change({ blackboard: { ...held.blackboard, [side[2]!]: [...held.blackboard[side[2] as "read"], item] } });
  const topics = /^agents\.(.+)\.may\.topics\.(publish|subscribe)$/.exec(place ?? "");
  if (topics?.[1] === agent) {
    const had = held.topics ?? { publish: [], subscribe: [] };
    return change({ topics: { ...had, [topics[2]!]: [...had[topics[2] as "publish"], item] } });
  }
  if (place === `agents.${agent}.may.reach`) {
    const read: ReachRule[] = [];
    // As the fleet file reads it.
    const { reach: rules = read } = readPermissions([], { reach: [item] }, [], (_at, message) => assert.fail(message));
    return change({ reach: [...(held.reach ?? []), ...rules] });
  }
  const set = /set `agents\.([a-z]+)\.model` to `([^`]+)`$/.exec(remedy);
  if (set?.[1] === agent) return change({ models: [set[2]!] });
  return assert.fail(`no way to apply: ${remedy}`);
}

test("every denial has a reason, and a remedy that allows it once it is applied", () => {
  fc.assert(
    fc.property(anyMatrix, name, anyAction, (matrix, agent, action) => {
      let held = matrix;
      for (let steps = 0; ; steps++) {
        const decision = decide(held, agent, action);
        if (decision.allow) return assert.match(decision.rule, new RegExp(`^agents\\.${agent}\\.(model$|may\\.)`));
        assert.ok(decision.refusal.reason.length > 0);
        // Declaring an agent grants it nothing yet: that is the second step.
        assert.ok(steps < (matrix.has(agent) ? 1 : 2), decision.refusal.remedy);
        const next = apply(held, agent, decision.refusal.remedy);
        // Narrow: whatever else was denied to others stays denied.
        for (const other of held.keys()) if (other !== agent) assert.equal(next.get(other), held.get(other));
        held = next;
      }
    }),
    { seed: 11, numRuns: 3_000 },
  );
});

test("the matrix of a fleet holds its permissions and its one model", () => {
  const may = { message: ["b"], blackboard: { read: ["x"], write: [] }, tools: ["files.read" as const] };
  const fleet = { agents: [{ name: "a", model: { provider: "p", model: "m/x" }, may }] } as unknown as Fleet;
  assert.deepEqual([...matrixOf(fleet)], [["a", { ...may, models: ["p/m/x"] }]]);
});
