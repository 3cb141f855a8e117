/**
 * An agent has as many bodies on the way as it can: first without their last bytes, then whole, in calls that their
 * provider keeps waiting. The mesh's memory is everybody's.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { limits } from "../../../protocol/limits.ts";
import { attackerPrelude, eventually, printed, startMesh, type MeshFixture } from "../../fleet/running-mesh.ts";

const CONNECTIONS = 250;
const MiB = 1024 ** 2;
/** Twelve calls with a MiB of `{},` took 435 MiB without a bound. What is not yet collected is in it. */
const RSS_GROWTH_MAX_BYTES = 300 * MiB;

const hoarder = `
import net from "node:net";
import { ask, tell } from "./prelude.mjs";
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const calls = (bytes, item, [open, close]) => {
  const start = '{"model":"slow/any","messages":[{"role":"user","content":"x"}],"max_tokens":16,"user":"u","tools":[{"type":"function","function":{"name":"f","parameters":{"enum":' + open;
  const end = close + "}}}]}";
  const many = Math.floor((bytes - start.length - end.length) / item.length) - 1;
  return Buffer.from(start + item.repeat(many) + item.replace(",", "") + end);
};
const hold = async (body, bytes, pauseMs) => {
  const head = "POST /openai/v1/chat/completions HTTP/1.1\\r\\nHost: door\\r\\nContent-Type: application/json\\r\\nContent-Length: " + body.length + "\\r\\n\\r\\n";
  const answers = {};
  const sockets = [];
  for (let at = 0; at < ${CONNECTIONS}; at++) {
    const socket = net.connect("/run/cordon/door.sock");
    let text = "";
    socket.on("data", (piece) => (text += piece)).on("error", () => {});
    socket.on("close", () => { const why = /"message":"([^"0-9]*)/.exec(text)?.[1] ?? text.slice(0, 80); answers[why] = (answers[why] ?? 0) + 1; });
    socket.write(Buffer.concat([Buffer.from(head), body.subarray(0, bytes)]));
    sockets.push(socket);
    await sleep(pauseMs);
  }
  await sleep(3000);
  const told = { answers: { ...answers } };
  for (const socket of sockets) socket.destroy();
  return told;
};
const kinds = {
  cut: () => { const body = calls(${limits.door.bodyBytesMax}, "x", ['"', '"']); return hold(body, body.length - 1, 0); },
  long: () => { const body = calls(${limits.door.bodyBytesMax}, "x", ['"', '"']); return hold(body, body.length, 40); },
  dense: () => { const body = calls(40_000, "{},", ["[", "]"]); return hold(body, body.length, 60); },
};
await sleep(1500);
tell("began", {});
for (const kind of Object.keys(kinds)) {
  tell(kind, await kinds[kind]());
  let free = 0;
  for (let tried = 0; tried < 100 && free !== 200; tried++) { await sleep(100); free = (await ask("POST", "/openai/v1/chat/completions", { model: "rehearsal/echo", max_tokens: 16, messages: [{ role: "user", content: "x".repeat(900_000) }] })).status; }
  tell("after " + kind, { free });
}
setInterval(() => {}, 1e6);
`;

let mesh: MeshFixture;
let provider: Server;
let asked = 0;
const rss = (): number =>
  Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${mesh.pid}/status`, "utf8"))?.[1]) * 1024;

before(async () => {
  provider = createServer((request) => {
    asked++;
    request.resume();
  });
  await new Promise<void>((resolve) => provider.listen(0, "127.0.0.1", resolve));
  const { port } = provider.address() as AddressInfo;
  mesh = await startMesh({
    "cordon.yaml": `
version: 1
fleet: held
providers: { slow: { api: openai, base_url: "http://127.0.0.1:${port}/v1", price: { input: 0, output: 0 } } }
defaults: { model: slow/any, budget: { day: { usd: 100.00 } }, sandbox: { cpus: 1 } }
agents:
  hoarder: { runaway: off, command: [/bin/node, /code/hoarder.mjs], code: code, may: { models: [rehearsal/echo] } }
`,
    "code/prelude.mjs": attackerPrelude,
    "code/hoarder.mjs": hoarder,
  });
});
after(async () => {
  await mesh.stop();
  provider.closeAllConnections();
  provider.close();
});

test("what a sandbox has on the way takes no more of the mesh's memory than it may have", async (context) => {
  await eventually("the beginning", async () => (await printed(mesh, "hoarder", "began"))[0]);
  const quiet = rss();
  for (const kind of ["cut", "long", "dense"]) {
    let worst = 0;
    const look = async () => {
      worst = Math.max(worst, rss());
      return (await printed(mesh, "hoarder", kind))[0];
    };
    const { answers } = (await eventually(kind, look, 120_000)) as { answers: Record<string, number> };
    const growth = worst - quiet;
    context.diagnostic(JSON.stringify({ kind, answers, asked, growthMiB: Math.round(growth / MiB) }));
    const refused = answers["cordon: calls take memory until they are answered, and one of "] ?? 0;
    assert.ok(refused > 0 && refused < CONNECTIONS, `${kind}: ${JSON.stringify(answers)}`);
    assert.ok(growth < RSS_GROWTH_MAX_BYTES, `${kind}: grew by ${Math.round(growth / MiB)} MiB`);
    // Who has gone holds nothing any more.
    const [later] = await eventually(`the time after ${kind}`, async () => {
      const told = await printed(mesh, "hoarder", `after ${kind}`);
      return told.length > 0 ? told : undefined;
    });
    assert.equal(later?.["free"], 200, kind);
  }
});
