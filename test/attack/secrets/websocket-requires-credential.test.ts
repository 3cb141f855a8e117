/** A binding to WebSocket says `require`: nobody talks there under a key of his own, or under none. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fetch, ProxyAgent, WebSocket } from "undici";
import { OutsideAuthority, startOutside, startWeb, type Outside, type WebPlace } from "../../fleet/web-place.ts";
import { answerWebSockets } from "../../fleet/web-socket-server.ts";

const secret = "canary-of-the-socket-5d10c7";
const authority = new OutsideAuthority();
const heard: string[] = [];
let asked = 0;
let outside: Outside;
let place: WebPlace;
let dispatcher: ProxyAgent;
let to: string;

before(async () => {
  outside = await startOutside(
    (_request, response) => {
      asked++;
      response.end("plain");
    },
    "api.test",
    authority,
  );
  answerWebSockets(outside.server, (text, say) => {
    heard.push(text);
    say(`heard ${heard.length}`);
  });
  to = `https://api.test:${outside.port}`;
  place = await startWeb({
    reach: [{ to, address: "127.0.0.1" }],
    ca: authority.pem,
    bindings: {
      key: [
        { to, paths: ["/must", "/either"], in: "websocket", require: true },
        { to, paths: ["/may"], in: "websocket" },
        { to, paths: ["/either"], in: { header: "x-api-key" } },
      ],
    },
    secrets: { key: secret },
  });
  dispatcher = new ProxyAgent({
    uri: `http://127.0.0.1:${place.proxyPort}`,
    requestTls: { ca: await place.authority() },
  });
});

after(async () => {
  await dispatcher.destroy();
  await place.close();
  await outside.close();
});

interface Talk {
  readonly answers: number;
  readonly code: number;
}

/** Sends each message when the one before was answered. */
function talk(
  path: string,
  messages: readonly (string | Buffer)[],
  headers: Record<string, string> = {},
): Promise<Talk> {
  heard.length = 0;
  const socket = new WebSocket(`${to.replace("https", "wss")}${path}`, { dispatcher, headers });
  const left = [...messages];
  let answers = 0;
  const next = (): void => {
    const message = left.shift();
    if (message === undefined) socket.close();
    else socket.send(message);
  };
  return new Promise((resolve) => {
    socket.addEventListener("open", next);
    socket.addEventListener("message", () => {
      answers++;
      next();
    });
    socket.addEventListener("close", ({ code }) => resolve({ answers, code }));
    socket.addEventListener("error", () => {});
  });
}

const lastRefusal = (): string =>
  JSON.stringify(place.records.filter(({ detail }) => detail["allow"] === false).at(-1));
const ph = "cordon_ph_key";

test("the placeholder comes first, and then anything", async () => {
  assert.deepEqual(await talk("/must", [`login ${ph}`, "more", "and more"]), { answers: 3, code: 1005 });
  assert.deepEqual(heard, [`login ${secret}`, "more", "and more"]);
});

const without: Readonly<Record<string, readonly (string | Buffer)[]>> = {
  "a key of one's own": ["login attackers-own-key", `login ${ph}`],
  nothing: [""],
  "bytes that are no text": [Buffer.from("login attackers-own-key")],
};
for (const [name, messages] of Object.entries(without)) {
  test(`${name} in the first message is refused, and does not arrive`, async () => {
    const from = place.records.length;
    assert.deepEqual(await talk("/must", messages), { answers: 0, code: 1008 });
    assert.deepEqual(heard, []);
    assert.ok(place.records.length > from);
    assert.match(lastRefusal(), /must carry the fleet's own credential/);
  });
}

test("a plain request to such a place is refused, since it can carry none", async () => {
  asked = 0;
  const answer = await fetch(`${to}/must`, { dispatcher, headers: { authorization: "Bearer attackers-own-key" } });
  assert.equal(answer.status, 403);
  assert.match(await answer.text(), /must carry the fleet's own credential.*first message of a WebSocket/);
  assert.match(lastRefusal(), /must carry the fleet's own credential/);
  assert.equal(asked, 0);
});

test("a credential in the head is one, too, where that is bound as well", async () => {
  assert.deepEqual(await talk("/either", ["anything"], { "x-api-key": ph }), { answers: 1, code: 1005 });
  assert.deepEqual(await talk("/either", ["anything"], { "x-api-key": "own" }), { answers: 0, code: 1008 });
});

test("where none is required, none is asked for", async () => {
  assert.deepEqual(await talk("/may", ["anything"]), { answers: 1, code: 1005 });
});
