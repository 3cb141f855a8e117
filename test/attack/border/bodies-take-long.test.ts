/**
 * An agent sends bodies that are within every bound and take the loop as long as such bodies can: JSON that is all names.
 * What they take is charged to its sandbox, and one that has taken too much is refused before anything more is read.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import { limits } from "../../../protocol/limits.ts";
import { startWeb } from "../../fleet/web-place.ts";

const BODIES = 48;
const namesOf = (bytes: number): string => {
  const names: string[] = [];
  for (let n = 0, sum = 2; sum < bytes - 16; n++) {
    names.push(`"${n.toString(36)}":0`);
    sum += (names.at(-1)?.length ?? 0) + 1;
  }
  return `{${names.join()}}`;
};

for (const http1 of ["plain", "node"] as const)
  test(`who takes the loop for long pays for it, read by ${http1}`, async (context) => {
    const place = await startWeb({ reach: [], services: { ...(http1 === "node" && { http1 }) } });
    const sockets: Socket[] = [];
    context.after(() => {
      for (const socket of sockets) socket.destroy();
      return place.close();
    });
    const send = async (body: string): Promise<{ readonly answer: Promise<string> }> => {
      const socket = connect(place.socketPath);
      sockets.push(socket);
      await once(socket, "connect");
      const fields = ["Host: door", "Connection: close", "Content-Type: application/json"];
      const head = ["POST /openai/v1/chat/completions HTTP/1.1", ...fields, `Content-Length: ${body.length}`];
      let told = "";
      socket.on("data", (bytes: Buffer) => (told += bytes.toString("latin1")));
      // Who is refused before his body has left him cannot write the rest.
      socket.on("error", () => {});
      const answer = new Promise<string>((done) => socket.on("close", () => done(told)));
      socket.write(`${head.join("\r\n")}\r\n\r\n${body}`);
      return { answer };
    };
    const body = namesOf(limits.door.bodyBytesMax);
    const all = await Promise.all(Array.from({ length: BODIES }, () => send(body)));
    await Promise.all(all.map(({ answer }) => answer));
    const codes = place.records.map(({ detail }) => detail["code"]);
    const unread = codes.filter((code) => code === "rate_limited").length;
    assert.ok(unread > 0, `all ${BODIES} were read`);
    assert.ok(unread < BODIES, "the first ones are within what a sandbox may take");
    // In debt it has no requests either, until time has paid for it.
    assert.match(await (await send("{}")).answer, /^HTTP\/1\.1 403 .*too many requests/s);
  });
