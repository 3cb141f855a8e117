/** All connections to providers read into one piece of memory: no answer may show a byte of another one. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { systemClock } from "../../lib/clock.ts";
import type { AnswerSink } from "./answer-relay.ts";
import { DeliveryGate } from "./failover.ts";
import { ModelGateway } from "./model-gateway.ts";
import type { Provider } from "./providers.ts";
import { compileScrubber } from "./scrubber.ts";
import { DONE, FINISH, say, SECRET, USAGE } from "./testing/relay.ts";
import { openaiFormat } from "./wire/openai.ts";

const folder = mkdtempSync(join(tmpdir(), "cordon-apart-"));
const socketPath = join(folder, "provider.sock");
const provider: Provider = {
  ...{ name: "own", apis: ["openai"], baseUrl: "http://own.test/v1", credential: "own", priceList: null },
  socketPath,
};
const gateway = new ModelGateway(systemClock);
const CALLS = 24;
const WORDS = 40;

/** Now and then a beginning of the credential, which makes events wait for what comes after them. */
const wordsOf = (key: string): string[] =>
  Array.from({ length: WORDS }, (_, n) => `<${key}:${n}>${n % 7 === 3 ? SECRET.slice(0, 10) : ""}`);
const streamOf = (key: string): string => [...wordsOf(key).map(say), FINISH, USAGE, DONE].join("");
const plainOf = (key: string): string =>
  JSON.stringify({
    choices: [{ index: 0, message: { role: "assistant", content: wordsOf(key).join("") }, finish_reason: "stop" }],
    usage: { prompt_tokens: 3, completion_tokens: 2 },
  });

/** In cuts that differ from key to key, one a turn, so that all answers are under way at the same moment. */
function drip(socket: Socket, text: string, seed: number): void {
  let at = 0;
  const next = (): void => {
    if (at >= text.length || socket.destroyed) return;
    const size = 1 + ((at * 31 + seed * 17) % 190);
    socket.write(text.slice(at, (at += size)));
    setImmediate(next);
  };
  next();
}

const chunked = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`;

const server = createServer((socket) => {
  socket
    .on("error", () => {})
    .on("data", (bytes) => {
      const key = /"user":"(k[0-9]+)"/.exec(bytes.toString("latin1"))?.[1] ?? "none";
      const streams = /"stream":true/.test(bytes.toString("latin1"));
      const seed = Number(key.slice(1));
      const plain = plainOf(key);
      const answer = streams
        ? `content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n${(streamOf(key).match(/[^]{1,333}/g) ?? []).map(chunked).join("")}0\r\n\r\n`
        : `content-type: application/json\r\ncontent-length: ${plain.length}\r\n\r\n${plain}`;
      drip(socket, `HTTP/1.1 200 OK\r\n${answer}`, seed);
    });
});
before(() => new Promise<void>((resolve) => server.listen(socketPath, resolve)));
after(async () => {
  await gateway.close();
  server.close();
  rmSync(folder, { recursive: true });
});

async function ask(key: string, stream: boolean, gated: boolean): Promise<string> {
  let text = "";
  const heard: AnswerSink = {
    head: () => {},
    write: (bytes) => {
      text += bytes.toString("latin1");
      return true;
    },
    drained: (resume) => resume(),
  };
  const meter = openaiFormat.meter();
  const gate = gated ? new DeliveryGate(heard, meter) : undefined;
  const body = Buffer.from(JSON.stringify({ model: "m", user: key, stream }));
  const outcome = await gateway.send(
    {
      ...{ provider, model: "m", format: openaiFormat, meter: gate?.meter ?? meter, stream, body },
      injection: { value: SECRET, automaton: compileScrubber([Buffer.from(SECRET)], "[gone]"), writes: [] },
      outputTokensMax: 100_000,
      agentHeaders: {},
      signal: new AbortController().signal,
    },
    gate ?? heard,
  );
  gate?.release();
  assert.equal(outcome.kind, "answered", JSON.stringify(outcome));
  return text;
}

for (const [what, stream, gated] of [
  ["streams", true, false],
  ["streams that are held until their first word", true, true],
  ["plain answers", false, false],
] as const)
  test(`${what} at the same moment stay apart, byte for byte`, async () => {
    for (const round of [0, 1]) {
      const keys = Array.from({ length: CALLS }, (_, n) => `k${round * CALLS + n}`);
      const told = await Promise.all(keys.map((key) => ask(key, stream, gated)));
      for (const [at, key] of keys.entries()) assert.equal(told[at], stream ? streamOf(key) : plainOf(key), key);
    }
  });
