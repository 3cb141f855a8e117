/** Webhooks from a stranger: forged, replayed, late, truncated, oversized; against the real listener and the real mesh. */
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { request } from "node:http";
import { connect } from "node:net";
import { after, before, test } from "node:test";
import { systemClock } from "../../../lib/clock.ts";
import { deskFiles } from "../../../protocol/desk.ts";
import { limits } from "../../../protocol/limits.ts";
import { openReadOnly } from "../../../mesh/store/open.ts";
import { forwardToDesk } from "../../../user/channels/webhooks/forward.ts";
import { WebhookListener } from "../../../user/channels/webhooks/listener.ts";
import { openTransport } from "../../../user/cli/desk-transport.ts";
import { startMesh, type MeshFixture } from "../../fleet/running-mesh.ts";

const SECRET = "it's-a-secret-that-nobody-guesses".replaceAll("'", "-");
const WHSEC = `whsec_${Buffer.from("another secret of 24 bytes").toString("base64")}`;

let mesh: MeshFixture;
let listener: WebhookListener;
let port = 0;

async function listen(): Promise<void> {
  listener = new WebhookListener(await forwardToDesk(mesh.state), systemClock);
  port = await listener.listen("127.0.0.1", 0);
}

before(async () => {
  mesh = await startMesh({
    "cordon.yaml": [
      "version: 1",
      "fleet: hooked",
      "defaults: { model: rehearsal/echo }",
      "agents: { clerk: { command: [/bin/true] } }",
      "hooks:",
      "  repo: { verify: github, secret: plain, message: { to: clerk } }",
      "  events: { verify: standard, secret: whsec, window: 1m, schema: event.json, message: { to: clerk } }",
      "  pay: { verify: stripe, secret: plain, message: { to: clerk } }",
      "  other: { verify: hmac, header: x-signature, secret: plain, per_minute: 3, message: { to: clerk } }",
      "  empty: { verify: github, secret: missing, message: { to: clerk } }",
    ].join("\n"),
    "event.json": JSON.stringify({
      type: "object",
      properties: { type: { type: "string" }, n: { type: "integer" } },
      required: ["type"],
      additionalProperties: false,
    }),
  });
  await mesh.desk.addCredential("plain", Buffer.from(SECRET));
  await mesh.desk.addCredential("whsec", Buffer.from(WHSEC));
  await listen();
});
after(async () => {
  await listener.close();
  await mesh.stop();
});

const nowSeconds = (shift = 0): number => Math.floor(systemClock.nowMs() / 1000) + shift;
const hex = (text: string, secret = SECRET): string => createHmac("sha256", secret).update(text).digest("hex");

function post(
  path: string,
  body: string,
  headers: Record<string, string | string[]> = {},
  method = "POST",
): Promise<number> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: "127.0.0.1", port, path, method, headers, agent: false }, (incoming) => {
      incoming.resume().on("end", () => resolve(incoming.statusCode ?? 0));
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}
/** Sends `pieces` of a body that says so much of its size; 0: the connection was cut before an answer was read. */
function inPieces(pieces: readonly string[], length: Record<string, string>): Promise<number> {
  return new Promise((resolve) => {
    const headers = { ...length, "x-hub-signature-256": `sha256=${hex(pieces.join(""))}` };
    const outgoing = request({ host: "127.0.0.1", port, path: "/hooks/repo", method: "POST", headers, agent: false });
    outgoing.on("response", (incoming) => {
      resolve(incoming.statusCode ?? 0);
      incoming.resume().on("end", () => outgoing.destroy());
    });
    outgoing.on("error", () => resolve(0));
    outgoing.flushHeaders();
    for (const piece of pieces) outgoing.write(piece);
    if (pieces.length > 0) outgoing.end();
  });
}
const github = (body: string, signature = `sha256=${hex(body)}`): Promise<number> =>
  post("/hooks/repo", body, { "x-hub-signature-256": signature });
const stripe = (body: string, at = nowSeconds(), signed = at): Promise<number> =>
  post("/hooks/pay", body, { "stripe-signature": `t=${at},v1=${"0".repeat(64)},v1=${hex(`${signed}.${body}`)}` });
function standard(body: string, id: string, at = nowSeconds(), signed = { id, at }): Promise<number> {
  const code = createHmac("sha256", "another secret of 24 bytes").update(`${signed.id}.${signed.at}.${body}`);
  const signature = `v1,${Buffer.alloc(32).toString("base64")} v1,${code.digest("base64")}`;
  return post("/hooks/events", body, {
    "webhook-id": id,
    "webhook-timestamp": String(at),
    "webhook-signature": signature,
  });
}

/** Messages that webhooks have put into the inbox. */
function messages(): readonly { readonly sender: string; readonly body: string; readonly label: string }[] {
  const store = openReadOnly(mesh.state);
  try {
    return store.query.messages.queued("default", "clerk", 0, 500);
  } finally {
    store.close();
  }
}
/** What `attempt` adds to the inbox. */
async function added(attempt: () => Promise<unknown>): Promise<readonly string[]> {
  const before = messages().length;
  await attempt();
  return messages()
    .slice(before)
    .map(({ body }) => body);
}

test("a genuine delivery of each scheme is one message, labelled untrusted", async () => {
  const bodies = await added(async () => {
    assert.equal(await github('{"a": 1}'), 202);
    assert.equal(await stripe('{"b":2}'), 202);
    assert.equal(await standard('{"type":"c"}', "evt_1"), 202);
    assert.equal(await post("/hooks/other", '{"d":4}', { "x-signature": hex('{"d":4}').toUpperCase() }), 202);
    const base64 = createHmac("sha256", SECRET).update("5").digest("base64");
    assert.equal(await post("/hooks/other", "5", { "x-signature": `sha256=${base64}` }), 202);
  });
  assert.deepEqual(bodies, ['{"a":1}', '{"b":2}', '{"type":"c"}', '{"d":4}', "5"]);
  const last = messages().at(-1);
  assert.equal(last?.sender, "principal:hook:other");
  assert.equal((JSON.parse(last?.label ?? "{}") as { integrity: string }).integrity, "untrusted");
});

test("forged: no, wrong, empty, truncated, doubled signature, another hook's, no such hook, no secret in the vault", async () => {
  const body = '{"forged":true}';
  const good = `sha256=${hex(body)}`;
  const bodies = await added(async () => {
    assert.equal(await post("/hooks/repo", body), 401);
    for (const signature of [
      "",
      "sha256=",
      good.slice(0, -1),
      `${good}0`,
      `sha1=${hex(body)}`,
      `sha256=${hex(body, "guess")}`,
    ])
      assert.equal(await github(body, signature), 401, signature);
    assert.equal(await github(`${body} `, good), 401);
    assert.equal(await post("/hooks/repo", body, { "x-hub-signature-256": [good, `sha256=${"0".repeat(64)}`] }), 401);
    assert.equal(await post("/hooks/repo", body, { "x-hub-signature-256": [`sha256=${"0".repeat(64)}`, good] }), 401);
    assert.equal(await post("/hooks/repo", body, { "x-signature": good }), 401);
    assert.equal(await post("/hooks/nothing", body, { "x-hub-signature-256": good }), 401);
    assert.equal(await post("/hooks/empty", body, { "x-hub-signature-256": `sha256=${hex(body, "")}` }), 401);
    // The id and the time are signed, too.
    assert.equal(await standard('{"type":"x"}', "evt_2", nowSeconds(), { id: "evt_9", at: nowSeconds() }), 401);
    assert.equal(await stripe(body, nowSeconds(), nowSeconds(-60)), 401);
  });
  assert.deepEqual(bodies, []);
});

test("late and early: a signed time outside of the window", async () => {
  const bodies = await added(async () => {
    for (const shift of [-90, 90, -86_400])
      assert.equal(await standard('{"type":"late"}', `evt_l${shift}`, nowSeconds(shift)), 401);
    for (const shift of [-400, 400]) assert.equal(await stripe(`{"late":${shift}}`, nowSeconds(shift)), 401);
    assert.equal(await standard('{"type":"in time"}', "evt_in", nowSeconds(-30)), 202);
  });
  assert.deepEqual(bodies, ['{"type":"in time"}']);
});

test("replayed: in sequence, at once, with another unsigned id, and after a restart of the mesh", async () => {
  const bodies = await added(async () => {
    assert.deepEqual(await Promise.all(Array.from({ length: 20 }, () => github('{"once":1}'))), Array(20).fill(202));
    assert.equal(
      await post("/hooks/repo", '{"once":1}', {
        "x-hub-signature-256": `sha256=${hex('{"once":1}')}`,
        "x-github-delivery": "new",
      }),
      202,
    );
    for (let again = 0; again < 3; again++) assert.equal(await standard('{"type":"once"}', "evt_once"), 202);
    // A sender repeats what it signed, at another time.
    assert.equal(await standard('{"type":"once"}', "evt_once", nowSeconds(-5)), 202);
    await listener.close();
    await mesh.kill();
    mesh = await mesh.again();
    await listen();
    assert.equal(await github('{"once":1}'), 202);
    assert.equal(await standard('{"type":"once"}', "evt_once"), 202);
  });
  assert.deepEqual(bodies, ['{"once":1}', '{"type":"once"}']);
});

test("oversized, truncated, compressed, no JSON, against the schema, to another path, too many", async () => {
  const big = JSON.stringify("x".repeat(limits.hook.bodyBytesMax));
  const bodies = await added(async () => {
    assert.equal(await github(big), 413);
    // Who says that it is too large is answered before it has sent any of it; who does not say is cut off in the middle.
    assert.equal(await inPieces([], { "content-length": String(big.length) }), 413);
    assert.ok([0, 413].includes(await inPieces([big.slice(0, 10), big.slice(10)], { "transfer-encoding": "chunked" })));
    assert.equal(
      await post("/hooks/repo", "{}", { "content-encoding": "gzip", "x-hub-signature-256": `sha256=${hex("{}")}` }),
      413,
    );
    assert.equal(await github("{"), 400);
    assert.equal(await github('{"a":1,"a":2}'), 400);
    assert.equal(await standard('{"type":"x","more":1}', "evt_schema"), 422);
    assert.equal(await post("/hooks/../v1/shutdown", "{}"), 400);
    assert.equal(await post("/v1/shutdown", "{}"), 400);
    assert.equal(await post("/hooks/repo", '"put"', { "x-hub-signature-256": `sha256=${hex('"put"')}` }, "PUT"), 400);
    const statuses: number[] = [];
    for (let n = 0; n < 6; n++) statuses.push(await post("/hooks/other", `[${n}]`, { "x-signature": hex(`[${n}]`) }));
    assert.ok(statuses.includes(429), String(statuses));
    // Says 100 bytes, sends 10, and goes: nobody hears of it.
    await new Promise<void>((resolve) => {
      const socket = connect(port, "127.0.0.1", () => {
        socket.write("POST /hooks/repo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n0123456789");
        socket.end();
      });
      socket
        .on("close", () => resolve())
        .on("error", () => resolve())
        .resume();
    });
  });
  for (const body of bodies) assert.match(body, /^\[\d\]$/);
  assert.ok(bodies.length <= 3);
});

test("text that a person would not see does not reach the agent", async () => {
  const hidden = JSON.stringify({ note: "pay\u{e0041}\u{e0042}\u202ethem" });
  const bodies = await added(async () => assert.equal(await github(hidden), 202));
  assert.deepEqual(bodies, ['{"note":"paythem"}']);
});

test("the listener's token opens its one route and nothing else", async () => {
  const narrow = await openTransport(mesh.state, deskFiles.hookToken);
  for (const call of [
    { method: "GET", path: "/v1/status" },
    { method: "POST", path: "/v1/shutdown", body: {} },
    { method: "POST", path: "/v1/agents/clerk/messages", body: { body: "x" } },
    { method: "GET", path: "/v1/hooks/repo" },
    { method: "POST", path: "/v1/hooks/repo/../x", body: {} },
  ] as const) {
    await assert.rejects(narrow(call), /the desk answers to its token only/, call.path);
  }
  await assert.rejects(
    narrow({ method: "POST", path: "/v1/hooks/repo", body: { headers: {}, bodyBase64: "" } }),
    /no such hook/,
  );
});

test("a flood from one address is turned away at the listener, and fills no audit", async () => {
  const before = await mesh.desk.status();
  const count = (): number => {
    const store = openReadOnly(mesh.state);
    try {
      return store.query.audit.extent().lastSeq ?? 0;
    } finally {
      store.close();
    }
  };
  const records = count();
  const statuses = await Promise.all(Array.from({ length: 200 }, () => post("/hooks/repo", "{}").catch(() => 0)));
  assert.ok(statuses.filter((status) => status === 429).length > 100, "most of a flood is turned away");
  assert.ok(count() - records < 20, "refusals are recorded sparsely");
  assert.equal((await mesh.desk.status()).fleet, before.fleet);
});
