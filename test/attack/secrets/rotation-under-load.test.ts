/** Credential and master key are changed while agents call without pause: no call fails, and nothing revoked is used. */
import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { attackerPrelude, eventually, printed, startMesh, type MeshFixture } from "../../fleet/running-mesh.ts";

const IN_FLIGHT = 16;

const caller = `
import { ask, tell } from "./prelude.mjs";
let [done, failed, refused, calls] = [0, 0, 0, 0];
const status = {};
setInterval(() => tell("count", { done, failed, refused, status }), 100);
await Promise.all(Array.from({ length: ${IN_FLIGHT} }, async () => {
  for (;;) {
    const answer = await ask("POST", "/openai/v1/chat/completions", { model: "mill/m", max_tokens: 16, messages: [{ role: "user", content: "go " + calls++ }] });
    status[answer.status] = (status[answer.status] ?? 0) + 1;
    if (answer.status === 200) done++;
    else if (answer.text.includes("holds no credential")) refused++;
    else if (answer.status !== 429) failed++;
    // What the mesh lets one sandbox ask for in a second is not what is tested here.
    await new Promise((next) => setTimeout(next, 250));
  }
}));
`;

let upstream: Server;
let mesh: MeshFixture;
/** Key that a request came with → how many. */
const seen = new Map<string, number>();
/** Answers are slow, so that calls are in flight at every change. */
const ANSWER_MS = 60;

before(async () => {
  upstream = createServer((request, response) => void serve(request, response));
  await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
  const { port } = upstream.address() as AddressInfo;
  mesh = await startMesh({
    "cordon.yaml": `
version: 1
fleet: mill
providers: { mill: { api: openai, base_url: "http://127.0.0.1:${port}/v1", credential: mill, price: { input: 1, output: 1 } } }
defaults: { model: mill/m, budget: { day: { usd: 900 } } }
agents:
  one: { command: [/bin/node, /code/call.mjs], code: code }
  two: { command: [/bin/node, /code/call.mjs], code: code }
`,
    "code/prelude.mjs": attackerPrelude,
    "code/call.mjs": caller,
  });
});

after(async () => {
  await mesh.stop();
  upstream.closeAllConnections();
  upstream.close();
});

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  for await (const piece of request) void piece;
  const key = (request.headers.authorization ?? "").slice("Bearer ".length);
  seen.set(key, (seen.get(key) ?? 0) + 1);
  setTimeout(() => {
    response.writeHead(200, { "content-type": "application/json" }).end(
      JSON.stringify({
        id: "x",
        choices: [{ index: 0, message: { role: "assistant", content: "ok" }, finish_reason: "stop" }],
        usage: { prompt_tokens: 5, completion_tokens: 1 },
      }),
    );
  }, ANSWER_MS);
}

async function counted(): Promise<{ done: number; failed: number; refused: number; status: unknown }> {
  const each = await Promise.all(
    ["one", "two"].map(async (agent) => (await printed(mesh, agent, "count")).at(-1) ?? {}),
  );
  const sum = (name: string): number => each.reduce((total, one) => total + Number(one[name] ?? 0), 0);
  return {
    done: sum("done"),
    failed: sum("failed"),
    refused: sum("refused"),
    status: each.map((one) => one["status"]),
  };
}

const more = async (key: string, calls: number): Promise<void> => {
  const from = seen.get(key) ?? 0;
  await eventually(`${calls} calls with ${key}`, () =>
    Promise.resolve((seen.get(key) ?? 0) >= from + calls || undefined),
  );
};

test("rotations of the credential and of the master key fail no call; after a revocation none is made", async () => {
  await mesh.desk.addCredential("mill", Buffer.from("sk-mill-value-0"));
  await more("sk-mill-value-0", 2 * IN_FLIGHT);
  for (let i = 1; i <= 4; i++) {
    const options = { expect: "known", overlapMs: 3_600_000 } as const;
    await Promise.all([
      mesh.desk.addCredential("mill", Buffer.from(`sk-mill-value-${i}`), options),
      mesh.desk.rotateMasterKey(),
    ]);
    await more(`sk-mill-value-${i}`, IN_FLIGHT);
    await mesh.desk.rotateMasterKey();
    const old = seen.get(`sk-mill-value-${i - 1}`) ?? 0;
    await more(`sk-mill-value-${i}`, IN_FLIGHT);
    assert.equal(seen.get(`sk-mill-value-${i - 1}`), old, "nothing takes the value before");
  }
  const busy = await counted();
  assert.equal(busy.failed, 0, JSON.stringify(busy));
  assert.ok(busy.done > 6 * IN_FLIGHT, JSON.stringify(busy));

  await mesh.desk.revokeCredential("mill");
  // Those that had it in hand at that moment are through when the next ones are refused.
  const { refused } = await counted();
  await eventually("refusals", async () => ((await counted()).refused >= refused + 2 * IN_FLIGHT ? true : undefined));
  const last = seen.get("sk-mill-value-4");
  const again = (await counted()).refused;
  await eventually("more", async () => ((await counted()).refused >= again + 2 * IN_FLIGHT ? true : undefined));
  assert.equal(seen.get("sk-mill-value-4"), last, "nothing is sent with a revoked credential");
  assert.equal((await counted()).failed, 0);
});

test("who used it, where, and that a revoked one was asked for, can be seen", async () => {
  const { events } = await mesh.desk.events(0, 0);
  const types = new Set(events.map(({ type, agent }) => `${type} ${agent}`));
  for (const agent of ["one", "two"]) {
    assert.ok(types.has(`credential.first_use ${agent}`));
    assert.ok(types.has(`credential.revoked_use ${agent}`));
  }
  const { uses } = await mesh.desk.credentialUsage();
  for (const agent of ["one", "two"]) {
    const row = uses.find((each) => each.name === "mill" && each.agent === agent);
    assert.ok(row && row.destination === "mill" && row.uses > IN_FLIGHT, JSON.stringify(row));
  }
  assert.equal((await mesh.desk.verifyAudit()).ok, true);
});
