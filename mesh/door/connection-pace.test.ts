import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { Clock } from "../../lib/clock.ts";
import { limits } from "../../protocol/limits.ts";
import { ConnectionPace } from "./connection-pace.ts";

const { doorConnectionsBurst: burst, doorConnectionsPerSecond: perSecond } = limits.sandbox;

describe("connections of one sandbox", { timeout: 30_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "cordon-pace-"));
  const path = join(folder, "door.sock");
  const server = createServer((socket) => socket.on("error", () => undefined).resume());
  let nowMs = 0;
  const sleepers: (() => void)[] = [];
  const clock: Clock = {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs,
    sleep: () => new Promise((resolve) => sleepers.push(resolve)),
  };
  const pace = new ConnectionPace(server, clock);
  let [opened, dropped] = [0, 0];
  server.on("connection", () => opened++).on("drop", () => dropped++);
  before(async () => void (await once(server.listen(path), "listening")));
  after(() => {
    pace.close();
    server.close();
    rmSync(folder, { recursive: true });
  });

  /** One after the other, each gone again before the next. */
  async function open(count: number): Promise<void> {
    for (let n = 0; n < count; n++) {
      const told = Promise.race([once(server, "connection"), once(server, "drop")]);
      const socket: Socket = connect(path).on("error", () => undefined);
      await told;
      const closed = once(socket, "close");
      socket.destroy();
      await closed;
    }
  }
  const passed = async (ms: number): Promise<void> => {
    nowMs += ms;
    for (const wake of sleepers.splice(0)) wake();
    await new Promise((resolve) => setImmediate(resolve));
  };

  it("are as many at once as it may hold, and then turned away at the listener", async () => {
    await open(burst + 50);
    // The one that finds nothing left is let in, and the last for a while.
    assert.deepEqual([opened, dropped], [burst + 1, 49]);
  });

  it("are so many a second from then on, whatever it tries", async () => {
    const [before, perTry] = [opened, 40];
    for (let n = 0; n < 16; n++) {
      await passed(125);
      await open(perTry);
    }
    // One more in each look: the one that closes the listener.
    assert.ok(opened - before <= 2 * perSecond + 16, `${opened - before} in two seconds`);
    assert.ok(opened - before >= 2 * perSecond - 1, `${opened - before} in two seconds`);
  });

  it("are as many at once again after a rest", async () => {
    await passed((burst / perSecond) * 1_000 + 1_000);
    const before = opened;
    await open(burst);
    assert.equal(opened - before, burst);
  });
});
