/** Pictures: held whole or not at all, n times, at the dearest where the provider chooses; settled by what is reported. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { AuditRow } from "../../../protocol/desk.ts";
import { observeBudgets, type BudgetObserver } from "../../fleet/budget-observer.ts";
import { attackerPrelude, eventually, printed, startMesh, type MeshFixture } from "../../fleet/running-mesh.ts";
import { dayOf, holdsOfCrowd, recordsOf } from "./crowd.ts";

/** A picture of low quality and the smallest size, as the provider's table has it; and the dearest of the table. */
const [LOW, DEAREST] = [272, 6_240];

const prelude = `${attackerPrelude}
export const draw = async (fields) => {
  const { status, text } = await ask("POST", "/openai/v1/images/generations", { model: "rehearsal/echo", prompt: "a cat", ...fields });
  const said = JSON.parse(text);
  return { status, code: said.error?.code, pictures: said.data?.length };
};
`;

const painter = `
import { draw, tell } from "./prelude.mjs";
const small = { size: "1024x1024", quality: "low" };
const drawn = { one: await draw(small), four: await draw({ ...small, n: 4 }), auto: await draw({}) };
const refused = {};
for (const [name, fields] of Object.entries({
  size: { size: "4096x4096" }, quality: { quality: "ultra" }, none: { n: 0 }, many: { n: 9 }, stream: { stream: true, partial_images: 3 },
  address: { response_format: "url" }, sent: { image: "https://example.com/x.png" }, foreign: { model: "openai/gpt-image-2" }, chat: { model: "own/dear" }, long: { prompt: "x".repeat(40000) },
})) refused[name] = await draw({ ...small, ...fields });
tell("painted", { drawn, refused });
setInterval(() => {}, 1e6);
`;

/** Has money for four of them, three held at once, and wants forty at once, some of which cost more than there is. */
const crowd = `
import { draw, tell } from "./prelude.mjs";
const all = await Promise.all(Array.from({ length: 40 }, (_, i) => draw({ size: "1024x1024", quality: i % 5 === 4 ? "high" : "low" })));
tell("crowded", { asked: all.length });
setInterval(() => {}, 1e6);
`;

const modest = `
import { draw, tell } from "./prelude.mjs";
tell("modest", { low: await draw({ size: "1024x1024", quality: "low" }), auto: await draw({}), three: await draw({ size: "1024x1024", quality: "low", n: 3 }) });
setInterval(() => {}, 1e6);
`;

let mesh: MeshFixture;
let observer: BudgetObserver;

before(async () => {
  mesh = await startMesh({
    "cordon.yaml": `
version: 1
fleet: gallery
providers: { own: { api: openai, base_url: "http://127.0.0.1:1/v1", price: { input: 1, output: 1 } } }
defaults: { model: rehearsal/echo, budget: { day: { usd: 9.00 } } }
tenants: { museum: { members: [crowd], budget: { day: { tokens: 1200 } } } }
agents:
  painter: { command: [/bin/node, /code/painter.mjs], code: code, may: { models: [own/dear, openai/gpt-image-2] } }
  crowd: { command: [/bin/node, /code/crowd.mjs], code: code }
  modest: { command: [/bin/node, /code/modest.mjs], code: code, model_limits: { max_tokens: 500, n: 2 } }
`,
    "code/prelude.mjs": prelude,
    "code/painter.mjs": painter,
    "code/crowd.mjs": crowd,
    "code/modest.mjs": modest,
  });
  observer = observeBudgets(mesh.desk);
});
after(async () => {
  await observer.end();
  await mesh.stop();
});

const told = (agent: string, kind: string): Promise<Record<string, unknown>> =>
  eventually(`${kind} of ${agent}`, async () => (await printed(mesh, agent, kind))[0], 60_000);
const records = (kind: string, agent: string): Promise<AuditRow[]> => recordsOf(mesh, kind, agent);

test("each picture is held as its table says, and settled by the report", async () => {
  const { drawn } = await told("painter", "painted");
  const found = Object.values(drawn as Record<string, { status: number; pictures: number }>);
  assert.deepEqual(
    found.map(({ status, pictures }) => [status, pictures]),
    [
      [200, 1],
      [200, 4],
      [200, 1],
    ],
  );
  const settled = await eventually("three ends", async () => {
    const ends = await records("model.settled", "painter");
    return ends.length === 3 ? ends : undefined;
  });
  const held = (await records("model.reserved", "painter")).map(({ detail }) => Number(detail["tokens"]));
  const [one = 0, four = 0, auto = 0] = held;
  assert.ok(one > LOW && one < LOW + 200, `${one}: the picture and the bytes of the request`);
  assert.ok(four > 4 * LOW && four < 4 * LOW + 200, `${four}`);
  assert.ok(auto > DEAREST && auto < DEAREST + 200, `${auto}: what the provider chooses counts as the dearest`);
  assert.deepEqual(
    settled.map(({ detail }) => [detail["charged"], detail["output_tokens"]]),
    [
      ["usage", LOW],
      ["usage", 4 * LOW],
      ["usage", 1_056],
    ],
  );
});

test("what has no bound is refused before anything is held or sent", async () => {
  const { refused } = await told("painter", "painted");
  const all = Object.entries(refused as Record<string, { status: number; code: string }>);
  assert.equal(all.length, 10);
  for (const [name, { status, code }] of all)
    assert.ok((status === 400 || status === 422) && code !== "budget_exhausted", `${name}: ${status} ${code}`);
  assert.equal((await records("model.reserved", "painter")).length, 3);
});

test("of forty at once only those pass that the tenant's cap can pay; none is made smaller", async () => {
  const held = await holdsOfCrowd(mesh, 60_000);
  assert.ok(held.length === 3 || held.length === 4, `${held.length} of ${LOW} tokens and a few for 1200`);
  for (const { detail } of held) assert.ok(Number(detail["tokens"]) > LOW && Number(detail["tokens"]) < LOW + 200);
  const line = await dayOf(mesh, "museum");
  assert.ok(line && line.cap === 1_200 && line.settled <= 1_200 && line.settled >= 3 * LOW && line.reserved === 0);
});

test("an agent's ceiling refuses what would be shortened otherwise", async () => {
  const found = (await told("modest", "modest")) as unknown as Record<string, { status: number; code: string }>;
  assert.equal(found["low"]?.status, 200);
  assert.deepEqual([found["auto"]?.status, found["auto"]?.code], [403, "denied"]);
  assert.deepEqual([found["three"]?.status, found["three"]?.code], [403, "denied"]);
});
