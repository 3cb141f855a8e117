/** `cordon hooks` as a person runs it: what it says, what it lets in, and how it ends. */
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createServer, type AddressInfo } from "node:net";
import { once } from "node:events";
import { after, before, test } from "node:test";
import type { OtlpRequest } from "../../user/cli/commands/trace-otlp.ts";
import { eventually } from "../fleet/running-mesh.ts";
import { openHome } from "./cordon.ts";
import { assertDone, assertFails } from "./failure.ts";

const SECRET = "a-secret-of-the-sender";
const home = openHome({
  "a.md": "You lend your rights.",
  "cordon.yaml": `version: 1
fleet: hooked
defaults:
  model: rehearsal/echo
  budget: { day: { tokens: 10k } }
  sandbox: { memory: 128MiB, cpus: 0.1, pids: 64, disk: 16MiB, isolation: container }
agents:
  clerk: { instructions: a.md, may: { blackboard: { write: [records/*] } } }
hooks:
  alarm: { verify: github, secret: alarm-webhook, workflow: note.yaml, input: { what: "\${{ body.what }}" } }
`,
  "note.yaml": `workflow: 1
name: note
started_by: [webhook]
input: { type: object, properties: { what: { type: string, maxLength: 100 } }, required: [what], additionalProperties: false }
steps:
  note: { tool: board.write, as: clerk, with: { key: records/alarm, value: "\${{ input.what }}" } }
`,
});
const { cordon } = home;
before(async () => {
  assertDone(await cordon(["up", "-d"]));
  assertDone(await cordon(["credential", "add", "alarm-webhook"], { input: `${SECRET}\n` }));
});
after(() => home.close());

const sign = (body: string): string => `sha256=${createHmac("sha256", SECRET).update(body).digest("hex")}`;

test("it says where it listens, takes what is signed for a hook that there is, and ends when it is told to", async () => {
  const listener = home.start(["hooks", "--listen", "127.0.0.1:0"]);
  try {
    const url = await eventually("the listener", () =>
      Promise.resolve(/^listening on (http:\/\/127\.0\.0\.1:\d+\/hooks\/)NAME$/m.exec(listener.said())?.[1]),
    );
    const send = async (name: string, body: string, signature = sign(body), method = "POST"): Promise<number> => {
      const headers = { "x-hub-signature-256": signature, "content-type": "application/json" };
      const sent = method === "GET" ? { method, headers } : { method, headers, body };
      return (await fetch(url + name, sent)).status;
    };
    const body = '{"what":"high water"}';
    assert.equal(await send("alarm", body, sign("another body")), 401);
    for (const [name, method] of [
      ["nobody", "POST"],
      ["../v1/runs", "POST"],
      ["alarm", "GET"],
    ] as const) {
      const status = await send(name, body, sign(body), method);
      assert.ok(status >= 400 && status < 500, `${method} ${name}: ${status}`);
    }
    assert.equal(await send("alarm", body), 202);
    const run = await eventually(
      "its run",
      async () => /^(run_\w+)\b.*succeeded/m.exec(assertDone(await cordon(["runs"])))?.[1],
    );
    assert.match(assertDone(await cordon(["runs", "show", run])), /hook:alarm|note +succeeded/);
    const exported = assertDone(await cordon(["trace", run, "--otlp", "spans.json"]));
    assert.match(exported, /^2 spans of run_\w+ are in spans\.json/);
    const { resourceSpans } = JSON.parse(readFileSync(join(home.folder, "spans.json"), "utf8")) as OtlpRequest;
    const spans = resourceSpans[0]?.scopeSpans[0]?.spans ?? [];
    assert.deepEqual(
      spans.map(({ name, status }) => [name, status.code]),
      [
        ["invoke_workflow note", 1],
        ["note", 1],
      ],
    );
    assertFails(await cordon(["trace", run, "--otlp", "no/such/place"]), /cannot be written/, /another file/, 2);
    listener.interrupt();
    assert.equal((await listener.finished).code, 0);
    await assert.rejects(fetch(`${url}alarm`, { method: "POST", body }), "nothing listens any more");
  } finally {
    listener.kill();
  }
});

test("what it cannot listen on is told, with what to do", async () => {
  for (const address of ["nowhere", "127.0.0.1", "127.0.0.1:70000", "http://127.0.0.1:1", ":1"])
    assertFails(await cordon(["hooks", "--listen", address]), /is not HOST:PORT/, /127\.0\.0\.1:8787/);
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  const { port } = taken.address() as AddressInfo;
  assertFails(
    await cordon(["hooks", "--listen", `127.0.0.1:${port}`]),
    new RegExp(`cannot listen on 127\\.0\\.0\\.1:${port}: EADDRINUSE`),
    /--listen HOST:PORT/,
  );
  taken.close();
});

test("while there is no mesh nothing is taken: whoever sends is told to come again", async () => {
  assertDone(await cordon(["down"]));
  const listener = home.start(["hooks", "--listen", "127.0.0.1:0"]);
  try {
    const url = await eventually("the listener", () =>
      Promise.resolve(/http:\/\/127\.0\.0\.1:\d+\/hooks\//.exec(listener.said())?.[0]),
    );
    const body = '{"what":"high water"}';
    const sent = await fetch(`${url}alarm`, { method: "POST", headers: { "x-hub-signature-256": sign(body) }, body });
    assert.ok(sent.status >= 500, String(sent.status));
    listener.interrupt();
    assert.equal((await listener.finished).code, 0);
  } finally {
    listener.kill();
  }
});
