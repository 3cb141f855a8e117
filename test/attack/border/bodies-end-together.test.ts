/**
 * An agent sends many bodies but for their last bytes, and then those all at once. What is read of one can take as long as
 * JSON of a mebibyte can: between two of them everybody else has a turn of the loop.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { startWeb } from "../../fleet/web-place.ts";

const CONNECTIONS = 24;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

for (const http1 of ["plain", "node"] as const)
  for (const path of ["/v1/tools/board.write", "/openai/v1/chat/completions"])
    test(`each is read in a turn of its own: ${path}, read by ${http1}`, async (context) => {
      const place = await startWeb({ reach: [], services: { ...(http1 === "node" && { http1 }) } });
      context.after(() => place.close());
      const fields = ["Host: door", "Content-Type: application/json", "Content-Length: 9"];
      const request = [`POST ${path} HTTP/1.1`, ...fields, "", "[1,[2,3]"].join("\r\n");
      const sockets = Array.from({ length: CONNECTIONS }, () => connect(place.socketPath));
      await Promise.all(
        sockets.map(async (socket) => {
          await once(socket.resume(), "connect");
          socket.write(request);
        }),
      );
      context.after(() => sockets.forEach((socket) => socket.destroy()));
      for (let turns = 0; turns < 50; turns++) await turn();
      assert.equal(place.records.length, 0);
      for (const socket of sockets) socket.write("]");
      let most = 0;
      for (let turns = 0; place.records.length < CONNECTIONS; turns++) {
        assert.ok(turns < 100_000, `${place.records.length} were read`);
        const before = place.records.length;
        await turn();
        most = Math.max(most, place.records.length - before);
      }
      // The loop's own callbacks come before and after the test's.
      assert.ok(most <= 2, `${most} in one turn`);
      assert.ok(place.records.every(({ detail }) => detail["code"] === "malformed"));
    });
