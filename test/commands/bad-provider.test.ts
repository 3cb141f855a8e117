/** A model that cannot be reached, paid or used: the fleet runs, and who talks to an agent hears what to do. */
import assert from "node:assert/strict";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { openHome, type Home } from "./cordon.ts";
import { assertDone, assertFails } from "./failure.ts";

const KEY = "sk-wrong-0123456789abcdef";
const RIGHT = "sk-right-0123456789abcdef";

let home: Home;
let provider: Server;
const seen: (string | undefined)[] = [];

before(async () => {
  provider = createServer((request, response) => {
    if (request.url?.startsWith("/hangs")) return;
    seen.push(request.headers.authorization);
    if (request.headers.authorization === `Bearer ${RIGHT}`) {
      const answer = { index: 0, message: { role: "assistant", content: "welcome" }, finish_reason: "stop" };
      const usage = { prompt_tokens: 5, completion_tokens: 1, total_tokens: 6 };
      const delta = { ...answer, delta: answer.message, message: undefined };
      const chunk = { id: "c", object: "chat.completion.chunk", created: 1, model: "m", choices: [delta], usage };
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.end(`data: ${JSON.stringify(chunk)}\n\ndata: [DONE]\n\n`);
      return;
    }
    // Providers repeat parts of the key in their errors.
    response.writeHead(401, { "content-type": "application/json" });
    response.end(JSON.stringify({ error: { message: `Incorrect API key provided: ${KEY}`, code: "invalid_api_key" } }));
  });
  await new Promise<void>((resolve) => provider.listen(0, "127.0.0.1", resolve));
  const at = `http://127.0.0.1:${(provider.address() as AddressInfo).port}`;
  const price = "price: { input: 1.00, output: 1.00 }";
  home = openHome({
    "cordon.yaml": `
version: 1
fleet: providers
defaults: { sandbox: { disk: 4MiB }, budget: { day: { usd: 1.00 } } }
providers:
  rejects: { api: openai, base_url: "${at}/v1", credential: rejects, ${price} }
  hangs: { api: openai, base_url: "${at}/hangs", ${price} }
  down: { api: openai, base_url: "http://127.0.0.1:1/v1", ${price} }
agents:
  keyless: { model: anthropic/claude-sonnet-4-5, instructions: prompt.md }
  rejected: { model: rejects/m, instructions: prompt.md }
  waiting: { model: hangs/m, instructions: prompt.md }
  cut-off: { model: down/m, instructions: prompt.md }
  unpriced: { model: openai/no-such-model, instructions: prompt.md }
`,
    "prompt.md": "Answer briefly.\n",
  });
  assertDone(await home.cordon(["credential", "add", "rejects"], { input: KEY }));
  assertDone(await home.cordon(["credential", "add", "openai"], { input: KEY }));
  assertDone(await home.cordon(["up", "-d"]));
});
after(async () => {
  await home.close();
  provider.closeAllConnections();
  provider.close();
});

const cases: readonly [agent: string, why: RegExp, what: RegExp][] = [
  ["keyless", /the vault holds no credential `anthropic`/, /`cordon credential add anthropic`/],
  [
    "rejected",
    /call of `rejects\/m` failed/,
    /rejected the fleet's credential \(401\).*`cordon credential add rejects`/,
  ],
  ["cut-off", /call of `down\/m` failed/, /did not answer \(ECONNREFUSED\).*127\.0\.0\.1:1/],
  ["unpriced", /no price is known for `openai\/no-such-model`/, /`price`/],
];
for (const [agent, why, what] of cases) {
  test(`${agent}: the fleet is up, and a chat says what to do and ends with 1`, async () => {
    const run = await home.cordon(["chat", agent, "-m", "hello"]);
    assertFails(run, why, /./);
    assert.match(run.stdout, what);
    assert.ok(!`${run.stdout}${run.stderr}`.includes(KEY), "the key is not in what people see");
  });
}

test("a provider that does not answer is waited for as long as one wants", async () => {
  const run = await home.cordon(["chat", "waiting", "-m", "hello", "--timeout", "2"]);
  assertFails(run, /`waiting` has not answered within 2 s/, /cordon logs waiting/);
});

test("nothing was charged, and the right key mends it without a restart", async () => {
  const before = JSON.parse(assertDone(await home.cordon(["costs", "--json"]))) as { totals: { microUsd: number }[] };
  assert.equal(
    before.totals.reduce((sum, row) => sum + row.microUsd, 0),
    0,
  );
  assertDone(await home.cordon(["credential", "rotate", "rejects"], { input: RIGHT }));
  assert.equal(assertDone(await home.cordon(["chat", "rejected", "-m", "again"])), "welcome\n");
  assert.ok(seen.includes(`Bearer ${KEY}`) && seen.includes(`Bearer ${RIGHT}`), "both keys were tried");
  assert.match(assertDone(await home.cordon(["audit", "verify"])), /^intact/);
});
