import assert from "node:assert/strict";
import { test } from "node:test";
import type { Conversation, Entry } from "../conversation.ts";
import { decide, type Utterance } from "./decide.ts";
import { parseScenario } from "./parse.ts";
import type { Scenario } from "./scenario.ts";

function scenarioOf(steps: string): Scenario {
  const parsed = parseScenario(
    `version: 1\nscenario: x\nroles:\n  a:\n    system: { contains: the tester }\n    steps:\n${steps}`,
  );
  assert.ok(parsed.ok, JSON.stringify(parsed));
  return parsed.value;
}
const user = (text: string): Entry => ({ role: "user", text });
const called = (id: string, name: string, input: unknown): Entry => ({
  role: "assistant",
  text: "",
  calls: [{ id, name, arguments: JSON.stringify(input) }],
});
const result = (callId: string, value: unknown): Entry => ({ role: "result", callId, text: JSON.stringify(value) });
const ask = (
  scenario: Scenario,
  entries: readonly Entry[],
  more: { maxTokens?: number; callsMax?: number; system?: string; tools?: string[] } = {},
): Utterance => {
  const conversation: Conversation = {
    system: more.system ?? "You are The Tester.",
    entries,
    tools: more.tools ?? ["list", "read"],
  };
  return decide(scenario, conversation, { maxTokens: more.maxTokens, callsMax: more.callsMax ?? 64 });
};

const reader = scenarioOf(`
      - { step: list, call: { tool: list } }
      - { step: read, each: results.list.files, call: { tool: read, arguments: { path: "{{ item.path }}", whole: true, depth: 2 } }, parallel: 3 }
      - { step: bad news, when: { some: [refusals] }, say: "Refused: {{ refusals.code | commas }}" }
      - { step: done, say: "Read {{ results.read | length }}: {{ results.read.content | commas }}" }
`);
const files = (n: number): unknown => ({ files: Array.from({ length: n }, (_, i) => ({ path: `f${i}` })) });
const argumentsOf = (utterance: Utterance): unknown[] => utterance.calls.map((call) => JSON.parse(call.arguments).path);

test("steps are worked off from top to bottom; a call is made once", () => {
  const first = ask(reader, [user("go")]);
  assert.deepEqual(first, { text: "", calls: [{ name: "list", arguments: "{}" }] });
  const listed = [user("go"), called("1", "list", {}), result("1", files(5))];
  const second = ask(reader, listed);
  assert.deepEqual(argumentsOf(second), ["f0", "f1", "f2"]);
  assert.equal(second.calls[0]?.arguments, '{"path":"f0","whole":true,"depth":2}');
  const some = [...listed, called("2", "read", { whole: true, depth: 2, path: "f1" }), result("2", { content: "one" })];
  assert.deepEqual(argumentsOf(ask(reader, some)), ["f0", "f2", "f3"], "the order of names makes no other call");
});

test("a refused call is not repeated, and can be told of", () => {
  const entries = [
    user("go"),
    called("1", "list", {}),
    result("1", { error: { code: "denied", reason: "no", remedy: "" } }),
  ];
  assert.equal(ask(reader, entries).text, "Refused: denied");
});

test("only the turn since the user last spoke counts", () => {
  const entries = [user("go"), called("1", "list", {}), result("1", files(0)), user("again")];
  assert.deepEqual(
    ask(reader, entries).calls.map((call) => call.name),
    ["list"],
  );
});

test("results are values of the tools, texts where they are no JSON", () => {
  const entries = [
    user("go"),
    called("1", "list", {}),
    result("1", files(2)),
    called("2", "read", { path: "f0", whole: true, depth: 2 }),
    result("2", { content: "A" }),
    called("3", "read", { path: "f1", whole: true, depth: 2 }),
    { role: "result", callId: "3", text: "no json" } as const,
  ];
  assert.equal(ask(reader, entries).text, "Read 2: A");
});

test("at most as many calls as the request and the room allow; none that would be cut off", () => {
  const listed = [user("go"), called("1", "list", {}), result("1", files(5))];
  assert.equal(ask(reader, listed, { callsMax: 1 }).calls.length, 1);
  assert.equal(ask(reader, listed, { maxTokens: 60 }).calls.length, 2);
  const none = ask(reader, listed, { maxTokens: 10 });
  assert.deepEqual(none.calls, []);
  assert.match(none.text, /`read` needs a longer answer than I may give/);
});

test("a tool that was not offered is missed aloud", () => {
  assert.match(
    ask(reader, [user("go")], { tools: ["read"] }).text,
    /not given the tool `list`, which the step `list` needs/,
  );
});

test("who the system prompt names speaks; without a role, nobody", () => {
  assert.match(ask(reader, [user("go")], { system: "You are the cook." }).text, /no role for this system prompt/);
});

const matching = scenarioOf(`
      - { step: starts, when: { user: { starts: [Hello, Good day] } }, say: "greeted by {{ user.sender }}" }
      - { step: both, when: { user: { contains: red, lacks: [blue, green] } }, say: red only }
      - { step: none, when: { none: [user.sender] }, say: "anonymous: {{ user.body }}" }
      - { step: rest, say: "{{ user.sender }} said {{ user.body | json }}" }
`);

test("conditions: starts, contains, lacks, none", () => {
  assert.equal(ask(matching, [user("GOOD DAY to you")]).text, "greeted by ");
  assert.equal(ask(matching, [user("a Red thing")]).text, "red only");
  assert.equal(ask(matching, [user("red and blue")]).text, "anonymous: red and blue");
  assert.equal(
    ask(matching, [user("Message from agent:a:\nline\nred and green")]).text,
    'agent:a said "line\\nred and green"',
  );
});

test("names from the prototype lead nowhere", () => {
  const hostile = scenarioOf(
    `      - { step: s, say: "[{{ results.constructor }}|{{ user.__proto__ }}|{{ results.x.toString }}]" }\n`,
  );
  assert.equal(ask(hostile, [user("x"), called("1", "constructor", {}), result("1", 1)]).text, "[[1]||]");
  assert.equal(ask(hostile, [user("x")]).text, "[||]");
});

test("where picks items by the text of a field", () => {
  const picky = scenarioOf(`
      - { step: list, call: { tool: list } }
      - { step: some, each: results.list.files, where: { path: { contains: "2" } }, call: { tool: read, arguments: { path: "{{ item.path }}" } } }
      - { step: done, say: done }
`);
  const entries = [user("go"), called("1", "list", {}), result("1", files(13))];
  assert.deepEqual(argumentsOf(ask(picky, entries)), ["f2", "f12"]);
});
