import assert from "node:assert/strict";
import { test } from "node:test";
import { toolNames } from "../../protocol/door.ts";
import { toolCards } from "./cards.ts";

const NOTHING = { message: [], blackboard: { read: [], write: [] }, tools: [], models: [] };
const names = (grants: object): string[] => toolCards({ ...NOTHING, ...grants }).map(({ name }) => name);

test("an agent is offered what it may use, and nothing else", () => {
  assert.deepEqual(names({}), []);
  assert.deepEqual(names({ message: ["b"] }), ["message.send"]);
  assert.deepEqual(names({ blackboard: { read: ["x"], write: [] } }), [
    ...["board.list", "board.read", "board.watch", "board.history"],
  ]);
  assert.deepEqual(names({ blackboard: { read: [], write: ["x"] } }), ["board.write", "board.delete"]);
  assert.deepEqual(names({ topics: { publish: ["t"], subscribe: [] } }), ["bus.publish", "bus.replies"]);
  assert.deepEqual(names({ topics: { publish: [], subscribe: ["t"] } }), ["bus.pull", "bus.ack", "bus.dead"]);
  assert.deepEqual(names({ tools: ["files.read"] }), ["files.read"]);
  const topics = { publish: ["x"], subscribe: ["x"] };
  assert.deepEqual(names({ tools: toolNames, message: ["b"], blackboard: { read: ["x"], write: ["x"] }, topics }), [
    ...toolNames,
  ]);
});

test("a card shows the strict form of the arguments, without the machinery", () => {
  const [card] = toolCards({ ...NOTHING, message: ["b"] });
  assert.deepEqual(Object.keys(card!.parameters).sort(), ["additionalProperties", "properties", "required", "type"]);
  assert.equal(card!.parameters["additionalProperties"], false);
  assert.deepEqual(card!.parameters["required"], ["to", "body"]);
});
