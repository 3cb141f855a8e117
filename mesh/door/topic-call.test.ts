import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock as clock } from "../../lib/clock.ts";
import { randomId as ids } from "../../lib/id.ts";
import type { Json } from "../../lib/json.ts";
import type { ToolName } from "../../protocol/door.ts";
import type { AuditEvent } from "../audit/audit.ts";
import { Blackboard } from "../blackboard/blackboard.ts";
import { Requests } from "../bus/requests.ts";
import { Topics } from "../bus/topics.ts";
import type { Grants } from "../policy/decide.ts";
import { openStore } from "../store/open.ts";
import type { Write } from "../store/store.ts";
import { denialsByCaller } from "./denials.ts";
import type { DoorServices } from "./services.ts";
import { toolCall } from "./tool-call.ts";

const NOTHING: Grants = { message: [], blackboard: { read: [], write: [] }, tools: [], models: [] };

test("topics, watches and history: denied without the grant, by name; recorded before they are told; rows one by one", async () => {
  const path = mkdtempSync(join(tmpdir(), "cordon-door-"));
  const store = await openStore({ path, mode: "inline" });
  try {
    const events: AuditEvent[] = [];
    const topics = new Topics(store, clock, ids);
    const matrix = new Map<string, Grants>([
      ["none", NOTHING],
      ["pub", { ...NOTHING, topics: { publish: ["news/*"], subscribe: [] } }],
      ["sub", { ...NOTHING, topics: { publish: [], subscribe: ["news/*"] } }],
      ["reader", { ...NOTHING, blackboard: { read: ["a/*"], write: [] } }],
      ["writer", { ...NOTHING, blackboard: { read: [], write: ["**"] } }],
    ]);
    const audit = {
      record: async (event: AuditEvent, writes: readonly Write[] = []) => {
        await store.commit(writes);
        events.push(event);
      },
    };
    const services = {
      ...{ clock, ids, matrix, topics, board: new Blackboard(store, clock) },
      requests: new Requests(store, clock, topics),
      monitor: { emit: () => {} },
      halted: () => undefined,
      audit,
      denials: denialsByCaller({ clock, audit }),
    } as unknown as DoorServices;
    const call = async (agent: string, tool: ToolName, args: Json) => {
      const before = events.length;
      const answer = await toolCall(services, { agent, sandbox: "s" }, tool, args, new AbortController().signal);
      assert.ok(events.length > before, `${tool} is evidence`);
      assert.equal(events[before]?.detail["allow"], answer.ok);
      return answer.ok
        ? (answer.value.result as Record<string, readonly Record<string, unknown>[]>)
        : answer.error.code;
    };
    const evt = "evt_a";
    for (const [agent, tool, args] of [
      ["none", "bus.publish", { topic: "news/a", body: "x" }],
      ["pub", "bus.publish", { topic: "new", body: "x" }],
      ["pub", "bus.publish", { topic: "news/a/b", body: "x" }],
      ["pub", "bus.pull", { topic: "news/a" }],
      ["pub", "bus.pull", { topic: "news/a", from: 1 }],
      ["pub", "bus.ack", { topic: "news/a", ids: [evt] }],
      ["pub", "bus.dead", { topic: "news/a" }],
      ["sub", "bus.publish", { topic: "news/a", body: "x" }],
      ["sub", "bus.reply", { topic: "news/a", request: evt, body: "x" }],
      ["sub", "bus.replies", { topic: "news/a", request: evt }],
      ["none", "board.watch", { match: "**" }],
      ["writer", "board.watch", { match: "**" }],
      ["reader", "board.history", { key: "b/secret" }],
    ] as const) {
      assert.equal(await call(agent, tool, args), "denied", `${agent} ${tool}`);
    }
    assert.equal(await call("pub", "bus.publish", { topic: "news/a", body: "x", more: 1 }), "malformed");
    await call("pub", "bus.publish", { topic: "news/a", body: "hello" });
    const pulled = await call("sub", "bus.pull", { topic: "news/a", wait_ms: 10 });
    assert.ok(typeof pulled === "object");
    assert.deepEqual(
      pulled["messages"]?.map(({ body, from }) => [body, from]),
      [["hello", "agent:pub"]],
    );
    await call("reader", "board.watch", { match: "**" });
    for (const key of ["a/1", "b/secret", "a/2"]) await call("writer", "board.write", { key, value: "v" });
    const seen = await call("reader", "board.watch", { match: "**" });
    assert.ok(typeof seen === "object");
    assert.deepEqual(
      seen["changes"]?.map(({ key }) => key),
      ["a/1", "a/2"],
    );
  } finally {
    await store.close();
    rmSync(path, { recursive: true });
  }
});
