import assert from "node:assert/strict";
import { test } from "node:test";
import type { Json } from "../../lib/json.ts";
import type { ToolName } from "../../protocol/door.ts";
import { denialsByCaller } from "./denials.ts";
import type { DoorServices } from "./services.ts";
import { systemClock as clock } from "../../lib/clock.ts";
import { toolCall } from "./tool-call.ts";

test("agents leave nothing on a disk that is nearly full, and the mesh goes on", async () => {
  const events: string[] = [];
  let room = false;
  const audit = { record: async () => {} };
  const services = {
    ...{ clock, audit, denials: denialsByCaller({ clock, audit }), matrix: new Map(), halted: () => undefined },
    monitor: { emit: () => {}, emitSparsely: (type: string) => void events.push(type) },
    room: () => room,
  } as unknown as DoorServices;
  const code = async (tool: ToolName, args: Json): Promise<string> => {
    const answer = await toolCall(services, { agent: "a", sandbox: "s" }, tool, args, new AbortController().signal);
    return answer.ok ? "ok" : answer.error.code;
  };
  const task = "tsk_a";
  const keeping: readonly (readonly [ToolName, Json])[] = [
    ["board.write", { key: "k", value: "" }],
    ["bus.publish", { topic: "t", body: "b" }],
    ["bus.reply", { topic: "t", request: "evt_a", body: "b" }],
    ["message.send", { to: "b", body: "b" }],
    ["output.write", { path: "p", content: "" }],
    ["task.create", { to: "b", title: "t" }],
    ["task.handoff", { task, to: "b" }],
    ["task.update", { task, state: "working" }],
  ];
  for (const [tool, args] of keeping) assert.equal(await code(tool, args), "busy", tool);
  assert.deepEqual(
    events,
    keeping.map(() => "store.nearly_full"),
  );
  assert.equal(await code("board.delete", { key: "k" }), "denied", "what makes room is decided as ever");
  room = true;
  assert.equal(await code("board.write", { key: "k", value: "" }), "denied");
});
