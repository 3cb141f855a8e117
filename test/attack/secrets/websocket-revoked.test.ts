/** A credential is revoked while what carries it to a WebSocket waits for the disk, or for a connection: it is not sent. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { ProxyAgent, WebSocket } from "undici";
import type { AuditEvent } from "../../../mesh/audit/audit.ts";
import { OutsideAuthority, startOutside, startWeb } from "../../fleet/web-place.ts";
import { answerWebSockets } from "../../fleet/web-socket-server.ts";

const placeholder = "cordon_ph_key";

interface Scene {
  /** What the server was asked for, and told. */
  readonly heard: readonly string[];
  readonly refusals: () => string;
  /** The code with which it was closed. */
  talk(path: string, message: string, headers?: Record<string, string>): Promise<number>;
}

/** The credential stands until `when`: a record of that kind goes to the disk, or the server is called. */
async function scene(context: TestContext, when: "never" | "called" | `web.${string}`): Promise<Scene> {
  const heard: string[] = [];
  const records: AuditEvent[] = [];
  const secrets: Record<string, string> = { key: "canary-that-is-revoked-71ac" };
  const authority = new OutsideAuthority();
  const outside = await startOutside((_request, response) => void response.end(), "api.test", authority);
  const to = `https://api.test:${outside.port}`;
  outside.server.on("connection", () => when === "called" && delete secrets["key"]);
  outside.server.on("upgrade", ({ headers }) => void heard.push(String(headers["x-api-key"])));
  answerWebSockets(outside.server, (text, say) => {
    heard.push(text);
    say("heard");
  });
  const record = (event: AuditEvent): Promise<void> => {
    records.push(event);
    if (event.kind === when) delete secrets["key"];
    return Promise.resolve();
  };
  const place = await startWeb({
    reach: [{ to, address: "127.0.0.1" }],
    ca: authority.pem,
    bindings: {
      key: [
        { to, paths: ["/frames"], in: "websocket" },
        { to, paths: ["/head"], in: { header: "x-api-key" } },
      ],
    },
    secrets,
    services: { audit: { record } },
  });
  const requestTls = { ca: await place.authority() };
  const dispatcher = new ProxyAgent({ uri: `http://127.0.0.1:${place.proxyPort}`, requestTls });
  context.after(async () => {
    await dispatcher.destroy();
    await place.close();
    await outside.close();
  });
  const talk: Scene["talk"] = (path, message, headers = {}) => {
    const socket = new WebSocket(`${to.replace("https", "wss")}${path}`, { dispatcher, headers });
    socket.addEventListener("open", () => socket.send(message));
    socket.addEventListener("message", () => socket.close());
    socket.addEventListener("error", () => {});
    return new Promise((resolve) => socket.addEventListener("close", ({ code }) => resolve(code)));
  };
  const refusals = (): string => JSON.stringify([...records, ...place.records]);
  return { heard, refusals, talk };
}

const head = { "x-api-key": placeholder };

test("as long as it stands it is sent, in the head and in a message", async (context) => {
  const { heard, talk } = await scene(context, "never");
  assert.equal(await talk("/head", "hello", head), 1005);
  assert.equal(await talk("/frames", `login ${placeholder}`), 1005);
  const secret = "canary-that-is-revoked-71ac";
  assert.deepEqual(heard, [secret, "hello", "undefined", `login ${secret}`]);
});

for (const when of ["web.request", "called"] as const)
  test(`in the head it is not sent when it is revoked before the first byte (${when})`, async (context) => {
    const { heard, refusals, talk } = await scene(context, when);
    assert.equal(await talk("/head", "hello", head), 1006);
    assert.deepEqual(heard, []);
    assert.match(refusals(), /CREDENTIAL_REVOKED/);
  });

for (const when of ["web.injected", "web.more"] as const)
  test(`in a message it is not sent when it is revoked before that goes on (${when})`, async (context) => {
    const { heard, refusals, talk } = await scene(context, when);
    assert.equal(await talk("/frames", `login ${placeholder}`), 1008);
    assert.deepEqual(heard, ["undefined"]);
    assert.match(refusals(), /revoked before it was sent/);
  });
