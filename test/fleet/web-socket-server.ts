/** A server that answers WebSockets, for tests: what each message is answered with is the test's. */
import { createHash } from "node:crypto";
import type { Server } from "node:http";
import type { Duplex } from "node:stream";
import { FrameReader, opcodes, writeFrame } from "../../mesh/egress/web/websocket-frames.ts";

/** RFC 6455 §1.3. */
const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

export function answerWebSockets(server: Server, onText: (text: string, say: (text: string) => void) => void): void {
  server.on("upgrade", (request, socket: Duplex) => {
    const key = String(request.headers["sec-websocket-key"]);
    const accept = createHash("sha1")
      .update(key + GUID)
      .digest("base64");
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: ${accept}\r\n\r\n`,
    );
    const reader = new FrameReader(true);
    const say = (text: string): void =>
      void socket.write(writeFrame({ fin: true, opcode: opcodes.text, payload: Buffer.from(text), mask: null }));
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk: Buffer) => {
      for (const { opcode, payload } of reader.push(chunk)) {
        if (opcode === opcodes.text) onText(payload.toString(), say);
        else if (opcode === opcodes.close) socket.end(writeFrame({ fin: true, opcode, payload, mask: null }));
      }
    });
  });
}
