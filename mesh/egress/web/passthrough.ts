import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { limits } from "../../../protocol/limits.ts";
import { refusal } from "../../../protocol/refusal.ts";
import type { Authority } from "./authority.ts";
import { BodyGate } from "./body-gate.ts";
import { dial } from "./dialer.ts";
import type { Lane } from "./exchange.ts";
import type { Pass, Permit } from "./warden.ts";

/** A tunnel that nobody reads, because its rule says so: only its place, its name and its bytes are known. */
export async function passThrough(
  { gateway, warden, names }: Lane,
  to: Authority,
  { rule, name }: Permit,
  client: Duplex,
): Promise<void> {
  const about = { verb: "web.tunnel", host: to.host, port: to.port };
  const pinned = await gateway.pinning.pin(to, rule.address, () => names.take());
  if (!pinned.ok) {
    await warden.refused(about, pinned.error);
    return void client.destroy();
  }
  const addresses = pinned.value;
  const pass = await warden.depart({ action: null, to, rule: name, addresses, credential: null, bytes: 0, writes: [] });
  if (!pass.ok) return void client.destroy();
  try {
    await carry(client, await dial({ addresses, port: to.port }), pass.value);
  } catch (error) {
    client.destroy();
    const reason = `did not answer (${(error as NodeJS.ErrnoException).code ?? "fault"})`;
    await pass.value.end({ outcome: "failed", status: 0, sent: 0, received: 0, scrubbed: 0, reason });
    await warden.refused(about, refusal("upstream_failed", `\`${to.host}\` ${reason}`, "check that it is up"));
  }
}

async function carry(client: Duplex, upstream: Socket, pass: Pass): Promise<void> {
  const { promise: closed, resolve } = Promise.withResolvers<string>();
  const gate = new BodyGate(0, [], (bytes) => pass.more(bytes));
  let received = 0;
  const end = (reason: string): void => {
    for (const stream of [client, gate, upstream]) stream.destroy();
    resolve(reason);
  };
  upstream.setTimeout(limits.web.idleTimeoutMs, () => end("nothing moved any more"));
  for (const stream of [client, upstream]) stream.on("error", () => end("broken")).once("close", () => end("closed"));
  gate.once("error", () => end("no bytes are left in the budget"));
  client.pipe(gate).pipe(upstream);
  upstream.on("data", (piece: Buffer) => (received += piece.length)).pipe(client);
  const reason = await closed;
  await pass.end({ outcome: "answered", status: 0, sent: gate.sent, received, scrubbed: 0, reason });
}
