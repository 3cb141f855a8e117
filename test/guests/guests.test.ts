/** Agents of other frameworks, unmodified: each does its task through the door and holds no secret. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import {
  ANSWER,
  assertNoSecret,
  assertTakenForHonest,
  guestsFolder,
  startGuests,
  type GuestFleet,
} from "./fleet-of-guests.ts";

const guests = ["mcp-client", "openai-agents", "vercel-ai", "langgraph", "mastra"];
let fleet: GuestFleet;

before(async () => {
  assert.ok(
    existsSync(join(guestsFolder, "node_modules/@openai/agents/package.json")),
    "the guests' packages are not installed: run `npm ci --ignore-scripts` in examples/guests",
  );
  fleet = await startGuests(guests);
});
after(() => fleet?.close());

/** What stands on the board in a guest's name, as the mesh recorded it. */
async function noted(guest: string): Promise<number> {
  const { records } = (await fleet.mesh.desk.audit(0, 1_000)) as unknown as {
    records: { subject: string; detail: Record<string, unknown> }[];
  };
  return records.filter(
    ({ subject, detail }) =>
      subject === `agent:${guest}` && detail["key"] === `guests/${guest}` && detail["verb"] === "board.write",
  ).length;
}

for (const [guest, ways] of [
  ["openai-agents", ["responses", "chat"]],
  ["vercel-ai", ["chat"]],
  ["langgraph", ["chat"]],
  ["mastra", ["chat"]],
] as const) {
  test(guest, async () => {
    const steps = await fleet.stepsOf(guest);
    for (const way of ways) assert.equal(steps[way]?.["answer"], ANSWER, way);
    assert.equal(await noted(guest), ways.length);
  });
}

test("a client of the Model Context Protocol, in both of its ways", async () => {
  const steps = await fleet.stepsOf("mcp-client");
  for (const mode of ["legacy", "auto"]) {
    const { tools, written, read, denied, malformed, unknown } = steps[mode] ?? {};
    assert.deepEqual(tools, [
      "board_delete",
      "board_history",
      "board_list",
      "board_read",
      "board_watch",
      "board_write",
    ]);
    const key = `mcp/${mode}`;
    assert.equal((written as Record<string, unknown>)["key"], key);
    assert.equal((read as Record<string, unknown>)["value"], "a note");
    assert.match(String(denied), /^denied: .*may not write board key `other\/note`; add `other\/note` to/);
    assert.match(String(malformed), /^malformed: /);
    assert.equal(unknown, true);
  }
  assert.deepEqual([steps["legacy"]?.["revision"], steps["auto"]?.["revision"]], ["2025-11-25", "2026-07-28"]);
});

test("a denied call over MCP is on record like any other", async () => {
  await fleet.stepsOf("mcp-client");
  const { records } = (await fleet.mesh.desk.audit(0, 1_000)) as unknown as {
    records: { subject: string; detail: Record<string, unknown> }[];
  };
  const denied = records.filter(({ subject, detail }) => subject === "agent:mcp-client" && detail["allow"] === false);
  assert.ok(denied.some(({ detail }) => detail["verb"] === "board.write" && detail["key"] === "other/note"));
});

test("no guest's environment, memory or files hold the secret that paid for its calls", async () => {
  for (const guest of guests) await fleet.stepsOf(guest);
  await assertNoSecret(fleet, 2 * guests.length);
});

test("no guest is taken for an attacker", async () => {
  for (const guest of guests) await fleet.stepsOf(guest);
  await assertTakenForHonest(fleet);
});
