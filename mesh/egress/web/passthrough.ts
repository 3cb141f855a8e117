import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { limits } from "../../../protocol/limits.ts";
import { refusal, type Refusal } from "../../../protocol/refusal.ts";
import { ReadMemory } from "../http1/read-memory.ts";
import type { Authority } from "./authority.ts";
import { BodyGate, BodyRefused } from "./body-gate.ts";
import { dial } from "./dialer.ts";
import type { Lane } from "./exchange.ts";
import type { Pass, Permit } from "./warden.ts";

/** A tunnel that nobody reads, because its rule says so: only its place, its name and its bytes are known. */
export async function passThrough(
  { gateway, warden, mayAsk }: Lane,
  to: Authority,
  permit: Permit,
  client: Duplex,
): Promise<void> {
  const about = { verb: "web.tunnel", host: to.host, port: to.port };
  const pinned = await gateway.pinning.pin(to, permit.rule.address, mayAsk);
  if (!pinned.ok) {
    await warden.refused(about, pinned.error);
    return void client.destroy();
  }
  const addresses = pinned.value;
  const pass = await warden.depart({ action: null, to, permit, addresses, credential: null, bytes: 0, writes: [] });
  if (!pass.ok) return void client.destroy();
  try {
    const memory = new ReadMemory(true);
    const upstream = await dial({ addresses, port: to.port }, memory);
    const objection = await carry(client, { upstream, memory }, pass.value);
    if (objection) await warden.refused(about, objection);
  } catch (error) {
    client.destroy();
    const reason = `did not answer (${(error as NodeJS.ErrnoException).code ?? "fault"})`;
    await pass.value.end({ outcome: "failed", status: 0, sent: 0, received: 0, scrubbed: 0, reason });
    await warden.refused(about, refusal("upstream_failed", `\`${to.host}\` ${reason}`, "check that it is up"));
  }
}

/** Resolves when it has ended: with what came to stand against it, if that was why. */
async function carry(
  client: Duplex,
  { upstream, memory }: { readonly upstream: Socket; readonly memory: ReadMemory },
  pass: Pass,
): Promise<Refusal | undefined> {
  const { promise: closed, resolve } = Promise.withResolvers<string | Refusal>();
  const gate = new BodyGate(0, [], pass);
  let received = 0;
  let ended = false;
  const end = (reason: string | Refusal): void => {
    ended = true;
    for (const stream of [client, gate, upstream]) stream.destroy();
    resolve(reason);
  };
  upstream.setTimeout(limits.web.idleTimeoutMs, () => end("nothing moved any more"));
  for (const stream of [client, upstream]) stream.on("error", () => end("broken")).once("close", () => end("closed"));
  gate.once("error", (error) =>
    end((error instanceof BodyRefused && error.objection) || "no bytes are left in the budget"),
  );
  memory.take((piece) => {
    if (ended) return;
    const objection = pass.objection();
    if (objection) return end(objection);
    received += piece.length;
    if (client.write(piece, memory.lend())) return;
    upstream.pause();
    client.once("drain", () => upstream.resume());
  });
  upstream.once("end", () => client.end());
  client.pipe(gate).pipe(upstream);
  const why = await closed;
  const [reason, objection] = typeof why === "string" ? [why] : [why.reason, why];
  const outcome = objection ? "cut" : "answered";
  await pass.end({ outcome, status: 0, sent: gate.sent, received, scrubbed: 0, reason });
  return objection;
}
