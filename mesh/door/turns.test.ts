import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock } from "../../lib/clock.ts";
import { doorRoutes } from "../../protocol/door.ts";
import { doorInMemory } from "../../test/fleet/door-services.ts";
import { Door } from "./door.ts";

const CROWD = 48;
const ask = (socket: Socket): boolean => socket.write(`GET ${doorRoutes.self} HTTP/1.1\r\nhost: x\r\n\r\n`);

test("a crowd of requests of one sandbox is no time of another's; who leaves while it waits is not served", async () => {
  const folder = mkdtempSync(join(tmpdir(), "cordon-turns-"));
  const served: string[] = [];
  const selves = { get: (agent: string) => (served.push(agent), { agent }) };
  const { services } = doorInMemory({ selves: selves as never }, {});
  // Each look at the clock finds the turn over.
  let nowMs = 0;
  const clock = { ...systemClock, monotonicMs: () => (nowMs += 2) };
  const doors = ["crowd", "other"].map((agent) => new Door({ ...services, clock }, { agent, sandbox: `sbx-${agent}` }));
  const sockets: Socket[] = [];
  const dial = async (agent: string): Promise<Socket> => {
    const socket = connect(join(folder, agent)).on("error", () => {});
    sockets.push(socket);
    // Answered once, it is a connection that the door has taken in.
    ask(socket);
    await once(socket, "data");
    return socket;
  };
  try {
    await Promise.all(doors.map((door, n) => door.listen(join(folder, ["crowd", "other"][n] ?? ""))));
    const crowd = await Promise.all(Array.from({ length: CROWD }, () => dial("crowd")));
    const other = await dial("other");
    served.length = 0;
    for (const socket of [...crowd, other]) ask(socket);
    await once(other, "data");
    assert.ok(served.length < CROWD / 2, `served before it: ${served.length}`);
    for (const socket of crowd.slice(CROWD / 2)) socket.destroy();
    for (let n = 0, seen = -1; seen !== served.length; n++) {
      assert.ok(n < 100, "an end of it");
      seen = served.length;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert.ok(served.length > CROWD / 2 && served.length <= CROWD, `served at last: ${served.length}`);
  } finally {
    for (const socket of sockets) socket.destroy();
    await Promise.all(doors.map((door) => door.close()));
    rmSync(folder, { recursive: true });
  }
});
