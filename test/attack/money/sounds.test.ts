/** Sound in: held by the time that its bytes can have, whole or not at all, in every scope; settled by the report. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { AuditRow } from "../../../protocol/desk.ts";
import { limits } from "../../../protocol/limits.ts";
import { attackerPrelude, eventually, printed, startMesh, type MeshFixture } from "../../fleet/running-mesh.ts";
import { dayOf, holdsOfCrowd, recordsOf } from "./crowd.ts";

/** Of the shortest sound: 30 seconds at 20 tokens, and an answer of 2,000. */
const HELD = 2_600;

const prelude = `${attackerPrelude}
export const wave = (seconds, lies = {}) => {
  const head = Buffer.alloc(44), samples = Buffer.alloc(Math.round(seconds * 16000) * 2, "speech");
  head.write("RIFF", 0); head.writeUInt32LE(lies.riff ?? samples.length + 36, 4); head.write("WAVEfmt ", 8); head.writeUInt32LE(16, 16);
  head.writeUInt16LE(lies.tag ?? 1, 20); head.writeUInt16LE(1, 22); head.writeUInt32LE(lies.rate ?? 16000, 24); head.writeUInt32LE(lies.byteRate ?? 32000, 28);
  head.writeUInt16LE(2, 32); head.writeUInt16LE(16, 34); head.write("data", 36); head.writeUInt32LE(lies.data ?? samples.length, 40);
  return Buffer.concat([head, samples, Buffer.alloc(lies.after ?? 0)]);
};
export const part = (name, content, more = "") => [Buffer.from('--BoundaryOfTheTest0123456789\\r\\nContent-Disposition: form-data; name="' + name + '"' + more + '\\r\\n\\r\\n'), Buffer.from(content), Buffer.from("\\r\\n")];
export const file = (bytes, more = "") => part("file", bytes, '; filename="a.wav"' + more);
export const send = (pieces, { type = "multipart/form-data; boundary=BoundaryOfTheTest0123456789", end = "--BoundaryOfTheTest0123456789--\\r\\n", headers = {} } = {}) => new Promise((resolve) => {
  const body = Buffer.concat([...pieces.flat(), Buffer.from(end)]);
  const request = http.request({ socketPath: "/run/cordon/door.sock", method: "POST", path: "/openai/v1/audio/transcriptions", agent: false, headers: { "content-type": type, "content-length": body.length, ...headers } }, (response) => {
    let text = "";
    response.setEncoding("utf8").on("data", (piece) => (text += piece)).on("error", () => resolve({ status: 0 })).on("end", () => {
      let said = {};
      try { said = JSON.parse(text); } catch {}
      resolve({ status: response.statusCode, code: said.error?.code, reason: said.error?.message, words: said.text?.split(" ").length, usage: said.usage });
    });
  });
  request.on("error", (error) => resolve({ status: 0, code: error.code }));
  request.end(body);
});
export const model = part("model", "rehearsal/echo");
export const hear = (seconds, more = []) => send([model, file(wave(seconds)), ...more]);
`;

const listener = `
import { file, hear, model, part, send, tell, wave } from "./prelude.mjs";
const heard = { short: await hear(2), long: await hear(60), prompted: await hear(2, [part("prompt", "a name"), part("response_format", "verbose_json")]), large: await send([model, file(wave(230))]) };
const same = [await hear(3), await hear(3)];
const refused = {};
const tries = {
  "two files": () => send([model, file(wave(1)), file(wave(1))]),
  "two models": () => send([model, part("model", "rehearsal/dear"), file(wave(1))]),
  "an unknown field": () => send([model, file(wave(1)), part("include[]", "logprobs")]),
  "a stream": () => send([model, file(wave(1)), part("stream", "true")]),
  "text": () => send([model, file(wave(1)), part("response_format", "text")]),
  "another model": () => send([part("model", "openai/whisper-1"), file(wave(1))]),
  "of one's own": () => send([part("model", "own/dear"), file(wave(1))]),
  "a short byte rate": () => send([model, file(wave(1, { byteRate: 3200000 }))]),
  "0 Hz": () => send([model, file(wave(1, { rate: 0 }))]),
  "4 GiB": () => send([model, file(wave(1, { data: 0xffffffff, riff: 0xffffffff }))]),
  "less data": () => send([model, file(wave(1, { data: 2 }))]),
  "MP3 in a WAV": () => send([model, file(wave(1, { tag: 0x55 }))]),
  "bytes after the end": () => send([model, file(wave(1, { after: 100000 }))]),
  "a second end": () => send([model, file(wave(1))], { end: "--BoundaryOfTheTest0123456789--\\r\\n--BoundaryOfTheTest0123456789--\\r\\n" }),
  "another boundary": () => send([model, file(wave(1))], { type: "multipart/form-data; boundary=Other" }),
  "two boundaries": () => send([model, file(wave(1))], { type: "multipart/form-data; boundary=BoundaryOfTheTest0123456789; boundary=x" }),
  "a second name": () => send([model, file(wave(1), '; name="prompt"')]),
  "a coding": () => send([model, file(wave(1), '\\r\\nContent-Transfer-Encoding: base64')]),
  "JSON": () => send([], { type: "application/json", end: '{"model":"rehearsal/echo"}' }),
  "too large": () => send([model, file(wave(300))]),
};
for (const [name, act] of Object.entries(tries)) refused[name] = await act();
tell("heard", { heard, same, refused });
setInterval(() => {}, 1e6);
`;

/** Has money for four of them, and wants fifty at once, some of which cost more. */
const crowd = `
import { hear, tell } from "./prelude.mjs";
const all = await Promise.all(Array.from({ length: 50 }, (_, at) => hear(at % 5 === 4 ? 60 : 1)));
tell("crowded", { asked: all.length });
setInterval(() => {}, 1e6);
`;

/** Its answers can have no more than 500 tokens. */
const modest = `
import { hear, tell } from "./prelude.mjs";
tell("modest", { one: await hear(1) });
setInterval(() => {}, 1e6);
`;

/** Says that much sound will come, and sends none of it. */
const hoarder = `
import net from "node:net";
import { hear, tell } from "./prelude.mjs";
const open = [];
for (let at = 0; at < ${limits.door.bodiesBytesMax / limits.sound.bodyBytesMax}; at++) open.push(await new Promise((resolve) => {
  const socket = net.connect("/run/cordon/door.sock", () => {
    socket.write("POST /openai/v1/audio/transcriptions HTTP/1.1\\r\\nhost: x\\r\\ncontent-type: multipart/form-data; boundary=x\\r\\ncontent-length: ${limits.sound.bodyBytesMax}\\r\\n\\r\\nhello");
    resolve(socket);
  });
  socket.on("error", () => {});
}));
let full;
const isFull = () => /calls take memory/.test(full?.reason);
for (let tried = 0; tried < 200 && !isFull(); tried++) {
  full = await hear(1);
  if (!isFull()) await new Promise((resolve) => setTimeout(resolve, 50));
}
for (const socket of open) socket.destroy();
let free;
for (let tried = 0; tried < 400 && free?.status !== 200; tried++) {
  free = await hear(1);
  if (free.status !== 200) await new Promise((resolve) => setTimeout(resolve, 50));
}
tell("hoarded", { full, free });
setInterval(() => {}, 1e6);
`;

let mesh: MeshFixture;

before(async () => {
  mesh = await startMesh({
    "cordon.yaml": `
version: 1
fleet: studio
providers: { own: { api: openai, base_url: "http://127.0.0.1:1/v1", price: { input: 1, output: 1 } } }
defaults: { model: rehearsal/echo, budget: { day: { usd: 9.00 } } }
tenants: { hall: { members: [crowd], budget: { day: { tokens: ${4 * HELD + 200} } } } }
agents:
  listener: { command: [/bin/node, /code/listener.mjs], code: code, may: { models: [own/dear] } }
  crowd: { command: [/bin/node, /code/crowd.mjs], code: code }
  modest: { command: [/bin/node, /code/modest.mjs], code: code, model_limits: { max_tokens: 500 } }
  hoarder: { command: [/bin/node, /code/hoarder.mjs], code: code }
`,
    "code/prelude.mjs": prelude,
    "code/listener.mjs": listener,
    "code/crowd.mjs": crowd,
    "code/modest.mjs": modest,
    "code/hoarder.mjs": hoarder,
  });
});
after(() => mesh.stop());

const told = (agent: string, kind: string): Promise<Record<string, unknown>> =>
  eventually(`${kind} of ${agent}`, async () => (await printed(mesh, agent, kind))[0], 180_000);
const records = (kind: string, agent: string): Promise<AuditRow[]> => recordsOf(mesh, kind, agent);

interface Heard {
  readonly status: number;
  readonly code?: string;
  readonly reason?: string;
  readonly words?: number;
  readonly usage?: { readonly input_tokens: number; readonly output_tokens: number };
}

test("sound is held by its time, and settled by the report", async () => {
  const { heard, same } = (await told("listener", "heard")) as unknown as {
    heard: Record<string, Heard>;
    same: Heard[];
  };
  assert.deepEqual(
    Object.entries(heard).map(([name, { status, words }]) => [name, status, words]),
    [
      ["short", 200, 4],
      ["long", 200, 120],
      ["prompted", 200, 4],
      ["large", 200, 400],
    ],
  );
  assert.deepEqual(same[0], same[1], "the same words for the same sound");
  const settled = await eventually("six ends", async () => {
    const ends = await records("model.settled", "listener");
    return ends.length === 6 ? ends : undefined;
  });
  const held = (await records("model.reserved", "listener")).map(({ detail }) => Number(detail["tokens"]));
  // 60 and 230 seconds at 20 tokens each.
  assert.deepEqual(held, [HELD, 3_200, HELD + "a name".length + "verbose_json".length, 6_600, HELD, HELD]);
  assert.deepEqual(
    settled.slice(0, 2).map(({ detail }) => [detail["charged"], detail["input_tokens"], detail["output_tokens"]]),
    ["short", "long"].map((name) => ["usage", heard[name]?.usage?.input_tokens, heard[name]?.usage?.output_tokens]),
  );
  assert.equal(heard["long"]?.usage?.input_tokens, 600);
});

test("what is not understood, or whose length is not certain, is refused before anything is held or sent", async () => {
  const { refused } = (await told("listener", "heard")) as unknown as { refused: Record<string, Heard> };
  const all = Object.entries(refused);
  assert.equal(all.length, 20);
  for (const [name, { status, code }] of all)
    assert.ok([400, 403, 413, 422].includes(status) && code !== "budget_exhausted", `${name}: ${status} ${code}`);
  assert.equal(refused["too large"]?.status, 413);
  assert.equal(refused["another model"]?.status, 403);
  assert.match(String(refused["MP3 in a WAV"]?.reason), /ffmpeg/);
  assert.match(String(refused["of one's own"]?.reason), /no bound is known/);
  assert.equal((await records("model.reserved", "listener")).length, 6);
});

test("of fifty at once only those pass that the tenant's cap can pay", async () => {
  const held = await holdsOfCrowd(mesh, 180_000);
  for (const { detail } of held) assert.ok([HELD, 3_200].includes(Number(detail["tokens"])), "none was made smaller");
  const line = await dayOf(mesh, "hall");
  assert.ok(line && line.cap !== null && line.settled <= line.cap && line.reserved === 0, JSON.stringify(line));
});

test("an agent's ceiling refuses what would be shortened otherwise", async () => {
  const { one } = (await told("modest", "modest")) as unknown as { one: Heard };
  assert.deepEqual([one.status, one.code], [403, "denied"]);
});

test("sound that is said to come is counted while its call is open, and no longer", async () => {
  const { full, free } = (await told("hoarder", "hoarded")) as unknown as { full: Heard; free: Heard };
  assert.equal(full.code, "rate_limited");
  assert.match(String(full.reason), /calls take memory/);
  assert.equal(free.status, 200);
});
