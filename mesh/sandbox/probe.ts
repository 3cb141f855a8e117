/**
 * The start-up probe: hostile code in a real sandbox tries to get out before any agent may start.
 * One attempt that was not stopped, one that did not report, or one packet that reached a listener of
 * the mesh means that the fence is broken.
 */
import { createSocket, type Socket as Datagrams } from "node:dgram";
import { createServer as createHttpServer } from "node:http";
import { createServer, type Server } from "node:net";
import { networkInterfaces } from "node:os";
import { fileURLToPath } from "node:url";
import { sandboxPaths } from "../../protocol/sandbox-paths.ts";
import { limits } from "../../protocol/limits.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Id } from "../../lib/id.ts";
import type { DoorListener, Isolation, Sandbox, SandboxBackend, SandboxSpec } from "./backend.ts";
import { attemptsOf, controls, surroundingsOf } from "./probe-attempts.ts";

export interface ProbeResult {
  readonly attempt: string;
  /** For a control (`control: …`): that it worked. */
  readonly stopped: boolean;
  readonly by: string;
}

const MEMORY_BYTES = 192 * 1024 ** 2;
const DISK_BYTES = 8 * 1024 ** 2;
const OUTPUT_BYTES_MAX = 256 * 1024;
const ABSTRACT_OF_SIBLING = "cordon-probe-sibling";

/** All attempts with what stopped them; `fenceHolds` reads it. Throws SandboxError when the probe cannot start. */
export async function probeFence(
  backend: SandboxBackend,
  { clock, id }: { clock: Clock; id: Id },
  isolation: Isolation = "container",
): Promise<readonly ProbeResult[]> {
  const bait = await layBait(id.next("bait"));
  const volumes = [id.next("probe"), id.next("sibling")] as const;
  const running: Sandbox[] = [];
  try {
    const { ownDevices, leftOut } = surroundingsOf[isolation];
    const abstract = [bait.target.abstract, ABSTRACT_OF_SIBLING];
    const target = { ...bait.target, abstract, ownDevices, leftOut: Object.keys(leftOut) };
    const sibling = await backend.start(specOf(volumes[1], isolation, "sibling.js", {}));
    running.push(sibling);
    await firstLine(sibling, clock);
    const probe = await backend.start(
      specOf(volumes[0], isolation, "main.js", { CORDON_PROBE: JSON.stringify(target) }),
    );
    running.push(probe);
    const lines = await outputOf(probe, clock);
    return judge(lines, bait.caught(), isolation);
  } finally {
    await Promise.allSettled(running.map((sandbox) => sandbox.stop(0)));
    await bait.close();
    for (const volume of volumes) await backend.eraseVolume(volume);
  }
}

export const fenceHolds = (results: readonly ProbeResult[], isolation: Isolation = "container"): boolean =>
  results.length >= attemptsOf(isolation).length + controls.length && results.every((result) => result.stopped);

/** Puts what was reported beside what must be; exported for its test. */
export function judge(
  lines: readonly string[],
  caught: readonly string[],
  isolation: Isolation = "container",
): readonly ProbeResult[] {
  const attempts = attemptsOf(isolation);
  const reported = new Map<string, ProbeResult>();
  for (const line of lines) {
    const result = parseLine(line);
    const name = result?.attempt ?? line.slice(0, 200);
    const known = result !== null && (attempts.includes(name) || (controls as readonly string[]).includes(name));
    // A line that nobody expects, or a second one of the same name, is not evidence of anything.
    if (!known || reported.has(name))
      reported.set(name, { attempt: name, stopped: false, by: "unexpected line of the probe" });
    else reported.set(name, result);
  }
  const missing = (attempt: string): ProbeResult => ({ attempt, stopped: false, by: "the probe did not report" });
  return [
    ...controls.map((name) => invert(reported.get(name)) ?? missing(name)),
    ...attempts.map((name) => reported.get(name) ?? missing(name)),
    ...[...reported.values()].filter((r) => r.by === "unexpected line of the probe" && !attempts.includes(r.attempt)),
    ...caught.map((what) => ({ attempt: `${what} arrived at the host`, stopped: false, by: "nothing" })),
  ];
}

/** A control reports `stopped: false` when it worked, as it should. */
const invert = (result: ProbeResult | undefined): ProbeResult | undefined =>
  result && { ...result, stopped: !result.stopped && result.by !== "unexpected line of the probe" };

function parseLine(line: string): ProbeResult | null {
  try {
    const { attempt, stopped, by } = JSON.parse(line) as Partial<ProbeResult>;
    if (typeof attempt !== "string" || typeof stopped !== "boolean" || typeof by !== "string") return null;
    return { attempt: attempt.slice(0, 200), stopped, by: by.slice(0, 200) };
  } catch {
    return null;
  }
}

function specOf(id: string, isolation: Isolation, script: string, environment: Record<string, string>): SandboxSpec {
  return {
    id,
    isolation,
    volume: id,
    limits: { memoryBytes: MEMORY_BYTES, cpus: 1, pids: 64, diskBytes: DISK_BYTES },
    command: [sandboxPaths.node, `${sandboxPaths.code}/${script}`],
    environment,
    codeFolder: fileURLToPath(new URL("probe", import.meta.url)),
    door: answeringDoor(),
  };
}

function answeringDoor(): DoorListener {
  const server = createHttpServer((_, response) => response.end());
  return {
    listen: (path) => listening(server, path),
    close: async () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

const listening = (server: Server | ReturnType<typeof createHttpServer>, where: string | number): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(where, () => resolve());
  });

/** Listeners on every address of the host, and an abstract socket, that nothing in a sandbox may reach. */
async function layBait(name: string) {
  const caught: string[] = [];
  const tcp = createServer((socket) => {
    caught.push("a connection");
    socket.destroy();
  });
  const abstract = createServer((socket) => {
    caught.push("a local connection");
    socket.destroy();
  });
  const udp: Datagrams = createSocket({ type: "udp4" }, () => caught.push("a datagram"));
  const close = async (): Promise<void> => {
    for (const server of [tcp, abstract]) if (server.listening) server.close();
    udp.close();
  };
  try {
    await listening(tcp, 0);
    await listening(abstract, `\0${name}`);
    await new Promise<void>((resolve, reject) => udp.once("error", reject).bind(0, () => resolve()));
  } catch (error) {
    await close();
    throw error;
  }
  const own = Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map((entry) => entry.address));
  // RFC 5737: an address of nobody, so that a host without a network has something to try, too.
  const addresses = ["192.0.2.1", ...own];
  const tcpPort = (tcp.address() as { port: number }).port;
  return { target: { addresses, tcpPort, udpPort: udp.address().port, abstract: name }, caught: () => caught, close };
}

/** Whole lines until the probe has ended and its pipe is empty, or until its time is up. */
async function outputOf(sandbox: Sandbox, clock: Clock): Promise<readonly string[]> {
  let text = "";
  sandbox.output.on("data", (chunk: Buffer) => {
    if (text.length < OUTPUT_BYTES_MAX) text += chunk.toString("utf8");
  });
  await within(clock, new Promise<void>((resolve) => sandbox.output.once("end", () => resolve())));
  return text.split("\n").filter((line) => line !== "");
}

const firstLine = (sandbox: Sandbox, clock: Clock): Promise<void> =>
  within(clock, new Promise<void>((resolve) => sandbox.output.once("data", () => resolve())));

async function within(clock: Clock, done: Promise<void>): Promise<void> {
  const timer = new AbortController();
  const late = clock.sleep(limits.sandbox.probeTimeoutMs, timer.signal).catch(() => undefined);
  await Promise.race([done, late]);
  timer.abort();
}
