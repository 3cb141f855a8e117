/**
 * An agent says the same request again and again on one connection, to the last letter. What was found out of it the first
 * time is not found out anew, but whether it may go is asked each time: of the policy, of the step that the agent is at
 * work on, of the halt, of the budget and of the vault.
 */
import assert from "node:assert/strict";
import { on, once } from "node:events";
import type { RequestListener } from "node:http";
import { connect, type Socket } from "node:net";
import { test, type TestContext } from "node:test";
import { connect as connectTls } from "node:tls";
import { gzipSync } from "node:zlib";
import type { AuditEvent } from "../../../mesh/audit/audit.ts";
import { limits } from "../../../protocol/limits.ts";
import { refusal, type Refusal } from "../../../protocol/refusal.ts";
import { OutsideAuthority, startOutside, startWeb, type WebPlace, type WebSetting } from "../../fleet/web-place.ts";

const authority = new OutsideAuthority();

interface Connected {
  readonly place: WebPlace;
  readonly at: string;
  /** Heads that came to the far end. */
  readonly arrived: string[];
  /** The same bytes each time, unless others are given; the status and the rest of the answer. */
  again(bytes?: string): Promise<readonly [status: number, text: string]>;
}

/** `said`: fields of each answer from afar, and `body` what follows them. */
async function connected(
  context: TestContext,
  setting: (at: string) => Partial<WebSetting>,
  {
    fields = [],
    said = {},
    body = Buffer.from("ok"),
  }: { readonly fields?: readonly string[]; readonly said?: Record<string, string>; readonly body?: Buffer } = {},
): Promise<Connected> {
  const arrived: string[] = [];
  const handler: RequestListener = (request, response) => {
    arrived.push(request.rawHeaders.join(" "));
    response.sendDate = false;
    response.writeHead(200, { "content-length": body.length, ...said }).end(body);
  };
  const outside = await startOutside(handler, "api.test", authority);
  context.after(() => outside.close());
  const at = `api.test:${outside.port}`;
  const place = await startWeb({
    reach: [{ to: `https://${at}`, address: "127.0.0.1" }],
    ca: authority.pem,
    ...setting(at),
  });
  context.after(() => place.close());
  const socket = connect(place.socketPath);
  context.after(() => void socket.destroy());
  socket.write(`CONNECT ${at} HTTP/1.1\r\nHost: ${at}\r\n\r\n`);
  await once(socket, "data");
  const secure = connectTls({ socket, servername: "api.test", ca: await place.authority() });
  await once(secure, "secureConnect");
  const bytes = Buffer.from(["GET /same?a=b HTTP/1.1", `Host: ${at}`, ...fields, "", ""].join("\r\n"));
  return { place, at, arrived, again: (other) => answered(secure, other === undefined ? bytes : Buffer.from(other)) };
}

async function answered(socket: Socket, bytes: Buffer): Promise<readonly [number, string]> {
  let text = "";
  socket.write(bytes);
  for await (const [piece] of on(socket, "data", { close: ["close"] }) as AsyncIterable<[Buffer]>) {
    text += piece.toString("latin1");
    const end = text.indexOf("\r\n\r\n") + 4;
    const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? Infinity);
    if ((end > 3 && text.length >= end + length) || text.endsWith("\r\n0\r\n\r\n")) break;
  }
  return [Number(text.slice("HTTP/1.1 ".length).split(" ")[0]), text];
}

test("each of what stands against it stops it from then on, and is told and recorded", async (context) => {
  let narrowed: Refusal | undefined;
  let stopped: Refusal | undefined;
  const services = {
    decide: () => narrowed && ({ allow: false, refusal: narrowed } as const),
    halted: () => stopped,
  };
  const { place, at, arrived, again } = await connected(context, () => ({ services }));
  const goes = async (): Promise<void> => assert.equal((await again())[0], 200);
  const stands = async (code: string): Promise<void> => {
    const [before, recorded] = [arrived.length, place.records.length];
    const [status, text] = await again();
    assert.ok(status >= 400 && text.includes(`"${code}"`), text);
    assert.equal(arrived.length, before, "nothing has gone out");
    const [record, ...more] = place.records.slice(recorded);
    assert.deepEqual([record?.detail["allow"], record?.detail["code"], more.length], [false, code, 0]);
  };
  await goes();
  await goes();
  narrowed = refusal("denied", "in this step `a` may not reach that", "name it under the step's `may`");
  await stands("denied");
  narrowed = undefined;
  await goes();
  stopped = refusal("halted", "the agent is halted", "resume it");
  await stands("halted");
  stopped = undefined;
  await goes();
  place.narrow([{ to: `https://${at}/other`, address: "127.0.0.1" }]);
  await stands("denied");
  place.narrow([{ to: `https://${at}`, address: "127.0.0.1" }]);
  await goes();
  const settled = place.records.filter(({ kind }) => kind === "web.settled");
  assert.equal(settled.length, arrived.length);
});

test("each is counted: the one that the budget does not hold is the last", async (context) => {
  const { arrived, again } = await connected(context, () => ({ bytes: 100 }));
  const statuses: number[] = [];
  for (let i = 0; i < 20; i++) statuses.push((await again())[0]);
  const went = statuses.filter((status) => status === 200).length;
  assert.ok(went > 1 && went < 20, `${went}`);
  assert.deepEqual(statuses, [...new Array(went).fill(200), ...new Array(20 - went).fill(statuses.at(-1))]);
  assert.equal(arrived.length, went);
});

test("the credential that goes out is the one of that moment, and none when there is none", async (context) => {
  const secrets: Record<string, string> = { key: "first-secret-of-the-fleet" };
  const { arrived, again } = await connected(
    context,
    (at) => ({ secrets, bindings: { key: [{ to: `https://${at}`, in: { header: "x-key" } }] } }),
    { fields: ["X-Key: cordon_ph_key"] },
  );
  await again();
  await again();
  secrets["key"] = "second-secret-of-the-fleet";
  await again();
  delete secrets["key"];
  const [status, text] = await again();
  assert.ok(status >= 400 && text.includes("holds no credential"), text);
  assert.deepEqual(
    arrived.map((head) => /x-key (\S+)/i.exec(head)?.[1]),
    ["first-secret-of-the-fleet", "first-secret-of-the-fleet", "second-secret-of-the-fleet"],
  );
});

test("an answer that says the same again is looked through for what has become a secret since", async (context) => {
  const secrets: Record<string, string> = { key: "a-secret-that-is-elsewhere" };
  const { again } = await connected(
    context,
    (at) => ({ secrets, bindings: { key: [{ to: `https://${at}`, in: { header: "x-key" } }] } }),
    { fields: ["X-Key: cordon_ph_key"], said: { "x-echo": "what-becomes-a-secret-later" } },
  );
  for (let i = 0; i < 3; i++) assert.match((await again())[1], /x-echo: what-becomes-a-secret-later\r\n/);
  secrets["key"] = "what-becomes-a-secret-later";
  for (let i = 0; i < 3; i++) {
    const [status, text] = await again();
    assert.equal(status, 200);
    assert.ok(!text.includes("becomes-a-secret"), text);
  }
});

test("an answer in a coding is decoded and looked through each time, however often its head is the same", async (context) => {
  const secret = "a-secret-that-comes-back-packed";
  const { again } = await connected(
    context,
    (at) => ({ secrets: { key: secret }, bindings: { key: [{ to: `https://${at}`, in: { header: "x-key" } }] } }),
    {
      ...{ fields: ["X-Key: cordon_ph_key"], said: { "content-encoding": "gzip" } },
      body: gzipSync(`it is ${secret}, in case you have forgotten it`),
    },
  );
  for (let i = 0; i < 3; i++) {
    const [status, text] = await again();
    assert.equal(status, 200);
    assert.ok(!/content-encoding/i.test(text), text);
    assert.match(text, /\r\n\[credential removed by cordon\]\r\n/);
  }
});

test("a credential that is revoked while its request goes to the disk is not sent", async (context) => {
  const secrets: Record<string, string> = { key: "a-secret-that-is-revoked" };
  let revokes = false;
  const record = (event: AuditEvent): Promise<void> => {
    if (revokes && event.kind === "web.request") delete secrets["key"];
    return new Promise((resolve) => setImmediate(resolve));
  };
  const { again, arrived } = await connected(
    context,
    (at) => ({
      ...{ secrets, services: { audit: { record } } },
      bindings: { key: [{ to: `https://${at}`, in: { header: "x-key" } }] },
    }),
    { fields: ["X-Key: cordon_ph_key"] },
  );
  assert.equal((await again())[0], 200);
  revokes = true;
  const [status, text] = await again();
  assert.equal(status, 424);
  assert.match(text, /CREDENTIAL_REVOKED/);
  assert.equal(arrived.length, 1);
});

test("another target, body or destination is another request, whatever else is the same", async (context) => {
  const { at, arrived, again } = await connected(context, (at) => ({
    reach: [{ to: `https://${at}/same`, address: "127.0.0.1" }],
    secrets: { key: "a-secret-that-is-elsewhere" },
    bindings: { key: [{ to: `https://${at}`, in: { header: "x-key" } }] },
  }));
  const posted = (body: string, path = "/same", ...more: readonly string[]): string =>
    [`POST ${path} HTTP/1.1`, `Host: ${at}`, `Content-Length: ${body.length}`, ...more, "", body].join("\r\n");
  const statuses: number[] = [];
  for (const said of [
    posted("cordon-ph-key"),
    posted("cordon_ph_key"),
    posted("cordon-ph-key"),
    posted("cordon-ph-key", "/else"),
    posted("cordon-ph-key", "/same", "Destination: /else"),
    posted("cordon-ph-key", "/same", "Destination: /same"),
  ])
    statuses.push((await again(said))[0]);
  assert.deepEqual(statuses, [200, 403, 200, 403, 403, 200]);
  assert.equal(arrived.length, 3);
});

test("who says it one after the other is never too many at once", async (context) => {
  const { again } = await connected(context, () => ({}));
  for (let i = 0; i <= limits.web.requestsConcurrentMax; i++) assert.equal((await again())[0], 200);
});
