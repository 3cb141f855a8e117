/** The ways through the gateway beside the common one, and what it says when the far end is not as it should be. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createTcp, connect as connectTcp, type AddressInfo, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { test, type TestContext } from "node:test";
import { fetch, ProxyAgent, type RequestInit } from "undici";
import { eventually } from "../fleet/running-mesh.ts";
import { OutsideAuthority, startOutside, startWeb, type WebPlace, type WebSetting } from "../fleet/web-place.ts";

const authority = new OutsideAuthority();

async function place(context: TestContext, setting: WebSetting): Promise<WebPlace> {
  const web = await startWeb({ ca: authority.pem, ...setting });
  context.after(() => web.close());
  return web;
}

async function outsideOf(context: TestContext, ...settings: Parameters<typeof startOutside>): Promise<number> {
  const outside = await startOutside(...settings);
  context.after(() => outside.close());
  return outside.port;
}

async function ask(
  web: WebPlace,
  url: string,
  more: RequestInit = {},
): Promise<{ readonly status: number; readonly text: string }> {
  const dispatcher = new ProxyAgent({
    uri: `http://127.0.0.1:${web.proxyPort}`,
    requestTls: { ca: await web.authority() },
  });
  try {
    const answer = await fetch(url, { ...more, dispatcher });
    return { status: answer.status, text: await answer.text() };
  } finally {
    await dispatcher.destroy();
  }
}

/** A tunnel by hand. */
async function tunnel(web: WebPlace, authorityText: string): Promise<Socket> {
  const socket = connectTcp(web.socketPath);
  socket.write(`CONNECT ${authorityText} HTTP/1.1\r\nHost: ${authorityText}\r\n\r\n`);
  const [head] = (await once(socket, "data")) as [Buffer];
  assert.match(head.toString(), /^HTTP\/1\.1 200/);
  return socket;
}

test("a tunnel that is passed through is the far end's own TLS, by its name only, and its bytes are counted", async (context) => {
  const port = await outsideOf(context, (_request, response) => response.end("from afar"), "api.test", authority);
  const web = await place(context, {
    reach: [{ to: `https://api.test:${port}`, tls: "passthrough", address: "127.0.0.1" }],
  });
  const say = async (servername: string): Promise<string> => {
    const secure = connectTls({
      socket: await tunnel(web, `api.test:${port}`),
      servername,
      ca: authority.pem,
      checkServerIdentity: () => undefined,
    });
    secure.on("error", () => {});
    secure.write(`GET / HTTP/1.1\r\nHost: api.test:${port}\r\nConnection: close\r\n\r\n`);
    let text = "";
    secure.on("data", (piece: Buffer) => (text += piece.toString()));
    await once(secure, "close").catch(() => {});
    return text;
  };
  assert.match(await say("api.test"), /from afar/);
  const settled = await eventually("its end", () =>
    Promise.resolve(web.records.find(({ kind }) => kind === "web.settled")),
  );
  assert.ok(Number(settled.detail["sent"]) > 300 && Number(settled.detail["received"]) > 500);
  assert.equal(await say("evil.test"), "");
  assert.match(JSON.stringify(web.records.at(-1)), /asks for `evil\.test`/);
  assert.equal(web.records.filter(({ kind }) => kind === "web.request").length, 1);
});

test("a passed-through tunnel ends when its bytes are used up", async (context) => {
  const far = createTcp((socket) => socket.on("error", () => {}).resume()).listen(0, "127.0.0.1");
  await once(far, "listening");
  context.after(() => far.close());
  const { port } = far.address() as AddressInfo;
  const web = await place(context, {
    reach: [{ to: `https://api.test:${port}`, tls: "passthrough", address: "127.0.0.1" }],
    bytes: 600_000,
  });
  const socket = await tunnel(web, `api.test:${port}`);
  const secure = connectTls({ socket, servername: "api.test" }).on("error", () => {});
  await eventually("the start", () => Promise.resolve(web.records.find(({ kind }) => kind === "web.request")));
  socket.write(Buffer.alloc(2_000_000));
  await once(socket, "close");
  secure.destroy();
  const settled = await eventually("its end", () =>
    Promise.resolve(web.records.find(({ kind }) => kind === "web.settled")),
  );
  assert.match(JSON.stringify(settled.detail), /no bytes are left/);
});

test("plain http goes by its whole address, and in a tunnel", async (context) => {
  const port = await outsideOf(context, (request, response) => request.pipe(response));
  const web = await place(context, { reach: [{ to: `http://plain.test:${port}`, address: "127.0.0.1" }] });
  assert.deepEqual(await ask(web, `http://plain.test:${port}/a`, { method: "POST", body: "there and back" }), {
    status: 200,
    text: "there and back",
  });
  const socket = await tunnel(web, `plain.test:${port}`);
  socket.write(`POST /a HTTP/1.1\r\nHost: plain.test:${port}\r\nContent-Length: 4\r\nConnection: close\r\n\r\nback`);
  let text = "";
  socket.on("data", (piece: Buffer) => (text += piece.toString()));
  await once(socket, "close");
  assert.match(text, /^HTTP\/1\.1 200 OK[^]*back/);
});

test("a far end that is not verified is not spoken to", async (context) => {
  const others = new OutsideAuthority();
  let asked = 0;
  const answer: Parameters<typeof startOutside>[0] = (_request, response) => {
    asked++;
    response.end();
  };
  const [unknown, misnamed] = [
    await outsideOf(context, answer, "api.test", others),
    await outsideOf(context, answer, "other.test", authority),
  ];
  const web = await place(context, {
    reach: [unknown, misnamed].map((port) => ({ to: `https://api.test:${port}`, address: "127.0.0.1" })),
  });
  for (const [port, why] of [
    [unknown, /UNABLE_TO_VERIFY|SELF_SIGNED/],
    [misnamed, /ERR_TLS_CERT_ALTNAME_INVALID/],
  ] as const) {
    const { status, text } = await ask(web, `https://api.test:${port}/`);
    assert.equal(status, 424);
    assert.match(text, why);
  }
  assert.equal(asked, 0);
});

test("a far end that is down, breaks off or says nonsense is told as such, and the client's connection lives on", async (context) => {
  const far = createTcp((socket) => {
    socket.on("error", () => {});
    socket.once("data", (head: Buffer) => {
      const path = head.toString().split(" ")[1];
      if (path === "/nonsense") socket.end("this is no HTTP\r\n\r\n");
      else if (path === "/smuggled")
        socket.end("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
      else if (path === "/short") socket.end("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf");
      else socket.destroy();
    });
  }).listen(0, "127.0.0.1");
  await once(far, "listening");
  context.after(() => far.close());
  const { port } = far.address() as AddressInfo;
  const gone = createTcp().listen(0, "127.0.0.1");
  await once(gone, "listening");
  const { port: down } = gone.address() as AddressInfo;
  gone.close();
  await once(gone, "close");
  const web = await place(context, {
    reach: [
      { to: `http://plain.test:${port}`, address: "127.0.0.1" },
      { to: `http://down.test:${down}`, address: "127.0.0.1" },
    ],
  });
  for (const path of ["/nonsense", "/smuggled", "/gone"]) {
    const { status, text } = await ask(web, `http://plain.test:${port}${path}`);
    assert.deepEqual([path, status], [path, 424], text);
  }
  assert.equal((await ask(web, `http://down.test:${down}/`)).status, 424);
  await assert.rejects(ask(web, `http://plain.test:${port}/short`));
  assert.equal(web.events.filter(({ type }) => type === "mesh.fault").length, 0);
});

test("a body of unknown length is stopped where its budget ends", async (context) => {
  let arrived = 0;
  const port = await outsideOf(context, (request, response) => {
    request.on("data", (piece: Buffer) => (arrived += piece.length));
    request.on("end", () => response.end("all of it"));
  });
  const web = await place(context, {
    reach: [{ to: `http://plain.test:${port}`, address: "127.0.0.1" }],
    bytes: 1_000_000,
  });
  async function* flood(): AsyncGenerator<Buffer> {
    for (let i = 0; i < 100; i++) yield Buffer.alloc(65_536);
  }
  const answer = await ask(web, `http://plain.test:${port}/`, { method: "POST", body: flood(), duplex: "half" }).catch(
    () => ({ status: 402, text: "" }),
  );
  assert.equal(answer.status, 402);
  assert.ok(arrived <= 1_000_000, `${arrived} bytes arrived`);
  const told = await ask(web, `http://plain.test:${port}/`, { method: "POST", body: Buffer.alloc(2_000_000) }).catch(
    () => ({ status: 402, text: "" }),
  );
  assert.equal(told.status, 402);
});

test("a name that changes its address between two requests is dialled at none that was not checked", async (context) => {
  const port = await outsideOf(context, (_request, response) => response.end("inside the host"));
  const answers = [
    ["127.0.0.1"],
    ["1.1.1.1", "127.0.0.1"],
    ["::ffff:127.0.0.1"],
    ["localhost"],
    ["127.0.0.1\0.1.1.1.1"],
  ];
  let asked = 0;
  const web = await place(context, {
    reach: [`http://*.rebind.test:${port}`],
    resolver: { resolve: () => Promise.resolve(answers[asked++ % answers.length] ?? []) },
  });
  for (let i = 0; i < answers.length; i++) {
    const { status, text } = await ask(web, `http://n${i}.rebind.test:${port}/`);
    assert.deepEqual([i, status], [i, 403], text);
    assert.match(text, /not public/);
    assert.match(JSON.stringify(web.records.at(-1)), /not public/);
  }
  assert.equal(asked, answers.length);
});

test("many requests at once over one HTTP/2 connection come back each to its own", async (context) => {
  const port = await outsideOf(
    context,
    (request, response) => setTimeout(() => response.end(request.url), 5),
    "api.test",
    authority,
  );
  const web = await place(context, { reach: [{ to: `https://api.test:${port}`, address: "127.0.0.1" }] });
  const dispatcher = new ProxyAgent({
    uri: `http://127.0.0.1:${web.proxyPort}`,
    allowH2: true,
    requestTls: { ca: await web.authority() },
  });
  const paths = Array.from({ length: 200 }, (_, i) => `/${i}`);
  const texts = await Promise.all(
    paths.map(async (path) => (await fetch(`https://api.test:${port}${path}`, { dispatcher })).text()),
  );
  await dispatcher.destroy();
  assert.deepEqual(texts, paths);
});
