/** How long a body may take: one to the web as long as it moves, any other half a minute in all. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { connect, type AddressInfo, type Socket } from "node:net";
import { test, type TestContext } from "node:test";
import { ServerResponse } from "node:http";
import { limits } from "../../protocol/limits.ts";
import { eventually } from "../fleet/running-mesh.ts";
import { startOutside, startWeb } from "../fleet/web-place.ts";
import { SimulatedClock } from "../simulation/world.ts";

interface Upload {
  readonly socket: Socket;
  readonly text: () => string;
  readonly closed: Promise<unknown>;
}

function upload(path: string, head: readonly string[]): Upload {
  const socket = connect(path);
  let text = "";
  socket.on("data", (piece: Buffer) => (text += piece.toString())).on("error", () => {});
  socket.write([...head, "Connection: close", "", ""].join("\r\n"));
  return { socket, text: () => text, closed: once(socket, "close") };
}

async function place(context: TestContext, clock?: SimulatedClock) {
  let arrived = 0;
  const outside = await startOutside((request, response) => {
    request.on("data", (piece: Buffer) => (arrived += piece.length)).on("end", () => response.end(`got ${arrived}`));
  });
  context.after(() => outside.close());
  const at = `plain.test:${outside.port}`;
  const web = await startWeb({
    reach: [{ to: `http://${at}`, address: "127.0.0.1" }],
    ...(clock && { services: { clock } }),
  });
  context.after(() => web.close());
  return { web, arrived: () => arrived, head: [`POST http://${at}/ HTTP/1.1`, `Host: ${at}`] };
}

test("half a minute ends the body of a tool call, and no upload that moves", async (context) => {
  const clock = new SimulatedClock("2026-11-23T00:00Z");
  const { web, head, arrived } = await place(context, clock);
  const slow = upload(web.socketPath, [...head, "Content-Length: 10"]);
  // Each of the door's two readers of HTTP has its own.
  const toTool = ["POST /v1/tools/board.write HTTP/1.1", "Host: door"];
  const tools = [upload(web.socketPath, [...toTool, "Content-Length: 10"])];
  tools.push(upload(web.socketPath, [...toTool, "Transfer-Encoding: chunked", "Expect: 100-continue"]));
  slow.socket.write("01234");
  tools[0]?.socket.write("{");
  tools[1]?.socket.write("a\r\n{");
  await eventually("the first half", () => Promise.resolve(arrived() === 5 || undefined));
  let ended = 0;
  for (const { closed } of tools) void closed.then(() => ended++);
  await eventually("the end of the tool calls", () => {
    // Both were asked for at a moment of this clock that is not known here.
    clock.pass(limits.door.requestTimeoutMs);
    return Promise.resolve(ended === tools.length || undefined);
  });
  for (const { text } of tools) assert.doesNotMatch(text(), /^HTTP\/1\.1 200/);
  slow.socket.write("56789");
  await slow.closed;
  assert.match(slow.text(), /^HTTP\/1\.1 200[^]*got 10/);
});

test("a body that is whole in time ends nothing later", async (context) => {
  const clock = new SimulatedClock("2026-11-23T00:00Z");
  const { web } = await place(context, clock);
  const socket = connect(web.socketPath);
  let text = "";
  socket.on("data", (piece: Buffer) => (text += piece.toString())).on("error", () => {});
  const ask = "POST /v1/tools/board.write HTTP/1.1\r\nHost: door\r\nContent-Length: 2\r\n\r\n{}";
  for (let answers = 1; answers <= 2; answers++) {
    socket.write(ask);
    await eventually("an answer", () => Promise.resolve(text.split("HTTP/1.1 ").length > answers || undefined));
    clock.pass(limits.door.requestTimeoutMs + 1);
  }
  assert.equal(socket.destroyed, false);
  socket.destroy();
});

test("what does not move any more ends after the idle time of the web", async (context) => {
  const { web } = await place(context);
  const session = web.gateway.session("sbx-b", { use: [] } as never);
  const server = createServer((request) => {
    // Only the deadline is looked at: the request is malformed, so nothing is asked of the warden but to keep that.
    void session.request(request, new ServerResponse(request), null).catch(() => {});
    asked.resolve(request.socket.timeout ?? 0);
  });
  const asked = Promise.withResolvers<number>();
  await once(server.listen(0, "127.0.0.1"), "listening");
  context.after(() => void server.close());
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1").on("error", () => {});
  socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  assert.equal(await asked.promise, limits.web.idleTimeoutMs);
  socket.destroy();
});

/** CORDON_SLOW_UPLOAD_SECONDS=35 takes longer than any other body may. */
test("an upload over plain http takes its time", async (context) => {
  const seconds = Number(process.env["CORDON_SLOW_UPLOAD_SECONDS"] ?? 1);
  const { web, head } = await place(context);
  const { socket, text, closed } = upload(web.socketPath, [...head, `Content-Length: ${seconds * 10}`]);
  for (let i = 0; i < seconds; i++) {
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    socket.write("0123456789");
  }
  await closed;
  assert.match(text(), new RegExp(`^HTTP/1\\.1 200[^]*got ${seconds * 10}`));
});
