import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { duplexPair } from "node:stream";
import { test } from "node:test";
import { systemClock as clock } from "../../../../lib/clock.ts";
import { ok } from "../../../../lib/result.ts";
import { compileScrubber } from "../../scrubber.ts";
import { frame, FrameReader } from "./frames.ts";
import { SessionRelay } from "./session.ts";
import type { DatabaseSetting } from "./setting.ts";
import type { DatabaseWarden } from "./warden.ts";

const setting: DatabaseSetting = {
  ...{ name: "orders", host: "db.test", port: 5432, address: "127.0.0.1", database: "shop", role: "reporter" },
  ...{ credential: "key", readOnly: true, tls: "off", ca: null, auth: "scram" },
};

test("a query waits until the server has answered the one before, and what has changed by then holds it back", async () => {
  const [client, agent] = duplexPair();
  const [socket, server] = duplexPair();
  const warden = {
    permit: async () => ok({ rule: "" }),
    statements: async () => ok(null),
    refused: async () => {},
  } as unknown as DatabaseWarden;
  const relay = new SessionRelay({
    ...{ setting, client, warden, clock },
    reader: new FrameReader(client),
    upstream: {
      socket: Object.assign(socket, { setTimeout: () => socket }) as unknown as Socket,
      reader: new FrameReader(socket),
      cancelKey: Buffer.alloc(0),
      told: [],
    },
    automaton: compileScrubber([Buffer.from("geheim-geheim")], "[removed]"),
  });
  const over = relay.run();
  const queries = new FrameReader(server);
  agent.resume();
  agent.write(Buffer.concat([frame("Q", "select flip()\0"), frame("Q", "select behind()\0")]));
  assert.equal((await queries.next(1_000))?.body.toString(), "select flip()\0");
  // Whatever was ready to go is on its way by now.
  for (let turns = 0; turns < 50; turns++) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(server.readableLength, 0, "the second query has not been sent");
  server.write(Buffer.concat([frame("S", "default_transaction_read_only\0off\0"), frame("Z", "I")]));
  const next = await queries.next(1_000).catch(() => null);
  assert.notEqual(next?.type, "Q");
  agent.destroy();
  assert.match((await over).reason, /has changed `default_transaction_read_only`/);
});
