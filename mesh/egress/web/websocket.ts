import type { Duplex } from "node:stream";
import type { Ending } from "./answer.ts";
import type { Admitted, Lane } from "./exchange.ts";
import type { Field } from "./head.ts";

export async function relayWebSocket(
  _lane: Lane,
  _admitted: Admitted,
  _ends: { socket: Duplex; upstream: Duplex; fields: readonly Field[] },
): Promise<Ending> {
  throw new Error("not yet");
}
