/**
 * A process that stands in for a provider: a raw server of OpenAI chat completions that costs next to nothing, so that
 * it can share a core with the client. What it does with a call is the last part of the model's name.
 */
import { readFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { END, events, jsonAnswer, streamHead } from "./provider-answers.ts";

/** Of a paced stream, between two events. */
const PACE_MS = 5;
const FIRST_PAUSE_MS = 4;

const paced = new Set<{ readonly socket: Socket; at: number }>();
setInterval(() => {
  for (const stream of paced) {
    stream.socket.write(events[stream.at++] ?? END);
    if (stream.at > events.length) paced.delete(stream);
  }
}, PACE_MS);

function act(socket: Socket, mode: string): void {
  if (mode.startsWith("json")) return void socket.write(jsonAnswer());
  socket.write(streamHead());
  if (mode.startsWith("burst")) {
    for (const each of events) socket.write(each);
    socket.write(END);
  } else if (mode.startsWith("paced")) {
    paced.add({ socket, at: 0 });
  } else if (mode.startsWith("first")) {
    socket.write(events[0] ?? END);
    setTimeout(() => socket.write(Buffer.concat([events.at(-1) ?? END, END])), FIRST_PAUSE_MS);
  } else if (mode.startsWith("hold")) {
    socket.write(events[0] ?? END);
    socket.once("close", () => process.send?.({ closed: mode, atNs: String(process.hrtime.bigint()) }));
  } else socket.destroy();
}

function serve(socket: Socket): void {
  socket.setNoDelay(true);
  let held: Buffer = Buffer.alloc(0);
  let waiting: { readonly pieces: Buffer[]; missing: number } | undefined;
  const begin = (bytes: Buffer): void => {
    const end = bytes.indexOf("\r\n\r\n");
    if (end < 0) return void (held = bytes);
    const length = Number(/^content-length: *(\d+)\r?$/im.exec(bytes.toString("latin1", 0, end + 2))?.[1] ?? 0);
    held = Buffer.alloc(0);
    waiting = { pieces: [], missing: length };
    take(bytes.subarray(end + 4));
  };
  const take = (bytes: Buffer): void => {
    if (!waiting) return begin(held.length > 0 ? Buffer.concat([held, bytes]) : bytes);
    waiting.pieces.push(bytes);
    waiting.missing -= bytes.length;
    if (waiting.missing > 0) return;
    const [first = bytes] = waiting.pieces;
    const body = waiting.pieces.length === 1 ? first : Buffer.concat(waiting.pieces);
    waiting = undefined;
    // The model stands at one of the two ends of a body, whoever wrote it.
    const model = /"model": ?"(?:[a-z]+\/)?([a-z0-9.]+)"/.exec(
      body.toString("latin1", 0, 300) + body.toString("latin1", Math.max(300, body.length - 300)),
    );
    act(socket, model?.[1] ?? "");
  };
  socket.on("data", take).on("error", () => socket.destroy());
}

const [, , key, certificate] = process.argv;
const plain = createServer(serve).listen(0, "127.0.0.1", () => {
  const port = (server: typeof plain): number => (server.address() as { port: number }).port;
  if (key === undefined || certificate === undefined) return void process.send?.({ port: port(plain), tlsPort: 0 });
  const tls = createTlsServer({ key: readFileSync(key), cert: readFileSync(certificate) }, serve);
  tls.listen(0, "127.0.0.1", () => process.send?.({ port: port(plain), tlsPort: port(tls) }));
});
process.once("disconnect", () => process.exit(0));
