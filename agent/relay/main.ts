/**
 * The process of a relay, which stands beside a sandbox where no Unix socket of the host can be mounted into it: it listens at that
 * sandbox's door and carries each connection to the mesh. It looks at nothing and decides nothing; who the caller is follows from
 * the key that it was given, and from nothing that is said through it.
 */
import { chmodSync, rmSync, writeSync } from "node:fs";
import type { ClientHttp2Session } from "node:http2";
import { createServer } from "node:net";
import { systemClock } from "../../lib/clock.ts";
import { joinStreams } from "../../lib/join-streams.ts";
import { RELAY_READY, type RelayOrders } from "../../protocol/door-relay.ts";
import { limits } from "../../protocol/limits.ts";
import { sandboxPaths } from "../../protocol/sandbox-paths.ts";
import { openLink } from "./link.ts";

const STDOUT = 1;
const ORDERS_BYTES_MAX = 4_096;
/** Of the sandbox's group, which the folder hands on, and of nobody else. */
const DOOR_MODE = 0o660;

async function readOrders(): Promise<RelayOrders> {
  let text = "";
  for await (const chunk of process.stdin) {
    text += String(chunk);
    if (text.includes("\n") || text.length > ORDERS_BYTES_MAX) break;
  }
  return JSON.parse(text) as RelayOrders;
}

async function serveDoor(link: ClientHttp2Session): Promise<void> {
  // Of a relay that was here before this one.
  rmSync(sandboxPaths.door, { force: true });
  const server = createServer({ allowHalfOpen: true }, (client) =>
    joinStreams(client, link.request({ ":method": "CONNECT", ":authority": "door" })),
  );
  server.maxConnections = limits.door.connectionsMax;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen(sandboxPaths.door, () => resolve());
  await promise;
  chmodSync(sandboxPaths.door, DOOR_MODE);
}

try {
  const link = await openLink(await readOrders(), systemClock);
  link.on("error", () => {});
  // Its key is used up: another relay takes its place, or nobody.
  link.on("close", () => process.exit(1));
  await serveDoor(link);
  writeSync(STDOUT, `${RELAY_READY}\n`);
} catch (fault) {
  writeSync(STDOUT, `${String(fault)}\n`);
  process.exit(1);
}
