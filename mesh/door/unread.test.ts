import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { doorRoutes } from "../../protocol/door.ts";
import { limits } from "../../protocol/limits.ts";
import { refusalStatus } from "../../protocol/refusal.ts";
import { doorInMemory } from "../../test/fleet/door-services.ts";
import { askRaw } from "../../test/fleet/raw-request.ts";
import { Door } from "./door.ts";

const MiB = 1024 * 1024;
const ask = `GET ${doorRoutes.self} HTTP/1.1\r\nhost: x\r\n`;

for (const [leg, more] of [
  ["the own reader", ""],
  ["Node's reader", "te: trailers\r\n"],
] as const)
  test(`answers that a sandbox asks for and does not read are given up to a limit, and then no others: ${leg}`, async () => {
    const folder = mkdtempSync(join(tmpdir(), "cordon-unread-"));
    const path = join(folder, "door.sock");
    const { services } = doorInMemory({ selves: new Map([["a", { large: "x".repeat(MiB) }]]) }, {});
    const floods: unknown[] = [];
    const door = new Door(
      { ...services, monitor: { emit: () => {}, emitSparsely: (...told: unknown[]) => floods.push(told) } as never },
      { agent: "a", sandbox: "sbx-a" },
    );
    await door.listen(path);
    const deaf: Socket[] = [];
    const status = async (): Promise<number> => (await askRaw({ path }, "GET", doorRoutes.self, ["host: x"])).status;
    try {
      assert.equal(await status(), 200);
      let refused = 0;
      for (let n = 0; n < (2 * limits.door.unreadBytesMax) / MiB && refused === 0; n++) {
        const socket = connect(path).on("error", () => {});
        deaf.push(socket);
        socket.write(`${ask}${more}\r\n`);
        // Asked after it, so answered after it.
        if ((await status()) === refusalStatus.rate_limited) refused = n;
      }
      assert.ok(refused >= limits.door.unreadBytesMax / MiB - 1, `the first was refused after ${refused}`);
      assert.deepEqual(floods[0], ["door.flood", "a", { what: "unread answers" }]);
      for (const socket of deaf) socket.destroy();
      // What has gone is not waited for.
      for (let n = 0; (await status()) !== 200; n++) {
        assert.ok(n < 500, "served again");
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    } finally {
      for (const socket of deaf) socket.destroy();
      await door.close();
      rmSync(folder, { recursive: true });
    }
  });
