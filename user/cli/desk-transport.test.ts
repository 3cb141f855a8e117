import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { NoMesh, openTransport, type DeskRefusal } from "./desk-transport.ts";
import { Failure } from "./failure.ts";

const TOKEN = "A".repeat(43);

async function deskWith(t: TestContext, answer: RequestListener): Promise<string> {
  const state = mkdtempSync(join(tmpdir(), "desk-"));
  const server = createServer(answer);
  await new Promise<void>((done) => server.listen(join(state, "desk.sock"), done));
  writeFileSync(join(state, "desk.token"), `${TOKEN}\n`);
  t.after(() => {
    server.close();
    server.closeAllConnections();
    rmSync(state, { recursive: true });
  });
  return state;
}

const get = async (state: string, signal?: AbortSignal): Promise<unknown> =>
  (await openTransport(state))({ method: "GET", path: "/v1/status", ...(signal ? { signal } : {}) });

test("the token goes with every request", async (t) => {
  let seen: string | undefined;
  const state = await deskWith(t, (request, response) => {
    seen = request.headers.authorization;
    response.end("{}");
  });
  assert.deepEqual(await get(state), {});
  assert.equal(seen, `Bearer ${TOKEN}`);
});

test("no token file and no listener both mean that no mesh is running, and how to start it", async (t) => {
  const state = mkdtempSync(join(tmpdir(), "desk-"));
  t.after(() => rmSync(state, { recursive: true }));
  await assert.rejects(get(state), (error: Failure) => error instanceof NoMesh && /cordon up/.test(error.fix));
  writeFileSync(join(state, "desk.token"), TOKEN);
  await assert.rejects(get(state), NoMesh);
});

test("a token file with something else in it is named", async (t) => {
  const state = await deskWith(t, (_, response) => response.end("{}"));
  writeFileSync(join(state, "desk.token"), "short\r\nx: y");
  await assert.rejects(get(state), /holds no desk token/);
});

test("a refusal keeps its code, reason and remedy", async (t) => {
  const state = await deskWith(t, (_, response) =>
    response.writeHead(403).end(JSON.stringify({ error: { code: "denied", reason: "no", remedy: "ask" } })),
  );
  await assert.rejects(
    get(state),
    (error: DeskRefusal) => error.code === "denied" && error.message === "no" && error.fix === "ask",
  );
});

test("what is not JSON, is cut short or never ends is an error and not an answer", async (t) => {
  await assert.rejects(get(await deskWith(t, (_, response) => response.end("<html>"))), /not JSON/);
  const cut = await deskWith(t, (_, response) => {
    response.writeHead(200, { "content-length": 100 }).write("{}");
    setImmediate(() => response.destroy());
  });
  await assert.rejects(get(cut), Failure);
  const endless = await deskWith(t, (_, response) => {
    const more = (): void =>
      void (response.write(Buffer.alloc(1 << 20, 32)) ? setImmediate(more) : response.once("drain", more));
    response.on("error", () => undefined);
    more();
  });
  await assert.rejects(get(endless), /too large/);
});

test("a caller can give up", async (t) => {
  const state = await deskWith(t, () => undefined);
  await assert.rejects(get(state, AbortSignal.timeout(20)));
});
