/** Sandboxes of a docker engine whose doors go through relays, and what a test wants to know of those. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock as clock } from "../../lib/clock.ts";
import { type Id, randomId } from "../../lib/id.ts";
import { createDockerBackend } from "../../mesh/sandbox/docker/backend.ts";
import { DockerEngine } from "../../mesh/sandbox/docker/engine.ts";
import { FrameReader } from "../../mesh/sandbox/docker/frames.ts";
import { idOf } from "../../mesh/sandbox/docker/image.ts";
import type { RelayOrders } from "../../protocol/door-relay.ts";
import { buildRootfs, leftoversOf } from "./sandbox-fixture.ts";

interface Container {
  readonly Id: string;
  readonly Names: readonly string[];
  readonly ImageID: string;
}

export async function openRelayed(socketPath: string) {
  const installation = randomId.next("t").slice(2, 10);
  const stateDir = mkdtempSync(join(tmpdir(), "cordon-state-"));
  const rootfs = await buildRootfs();
  const drawn: string[] = [];
  const id: Id = {
    next: (prefix) => {
      drawn.push(randomId.next(prefix));
      return drawn.at(-1) ?? "";
    },
  };
  const again = () => createDockerBackend({ installation, stateDir, rootfs, socketPath, relay: true, clock, id });
  const api = new DockerEngine(socketPath, clock);
  const own = `filters=${encodeURIComponent(JSON.stringify({ label: [`dev.cordon.installation=${installation}`] }))}`;
  const containers = async () => (await api.ask("GET", `/containers/json?all=1&${own}`)) as readonly Container[];
  /** Of the engine, too: whatever bears our label. */
  const kept = async (): Promise<readonly string[]> => {
    const networks = (await api.ask("GET", `/networks?${own}`)) as readonly { readonly Name: string }[];
    const { Volumes } = (await api.ask("GET", `/volumes?${own}`)) as {
      readonly Volumes: readonly { readonly Name: string }[] | null;
    };
    const names = [...networks, ...(Volumes ?? [])].map(({ Name }) => Name);
    return [...names, ...(await containers()).flatMap(({ Names }) => Names)];
  };
  const leftovers = () => leftoversOf(installation, stateDir);
  const close = async (): Promise<void> => {
    await again().sweep();
    const left = [...leftovers(), ...(await kept())];
    rmSync(stateDir, { recursive: true, force: true });
    // Bridges outlive the engine.
    if (left.length > 0) await api.try("POST", `/networks/prune`);
    if (left.length > 0) throw new Error(`left behind: ${left.join(", ")}`);
  };
  const network = (sandbox: string): string => `cordon-${installation}-${sandbox}.relay`;
  const relayOf = async (sandbox: string): Promise<Container> => {
    const found = (await containers()).find(({ Names }) => Names.includes(`/${network(sandbox)}.run`));
    if (!found) throw new Error(`sandbox ${sandbox} has no relay`);
    return found;
  };
  /** Where the mesh waits for the relay of a sandbox, as the kernel tells. */
  const portOf = async (sandbox: string): Promise<Pick<RelayOrders, "host" | "port">> => {
    const { IPAM } = (await api.ask("GET", `/networks/${network(sandbox)}`)) as {
      readonly IPAM: { readonly Config: readonly { readonly Gateway: string }[] };
    };
    const host = IPAM.Config[0]?.Gateway ?? "";
    return { host, port: listeningAt(host) };
  };
  /** Another program in the network of a relay: what a relay could do that is not ours any more. Resolves with what it printed. */
  const inNetworkOf = async (sandbox: string, script: string): Promise<string> => {
    const { ImageID: Image } = await relayOf(sandbox);
    const body = {
      ...{ Image, Entrypoint: ["/bin/node"], Cmd: ["--input-type=module", "--eval", script] },
      HostConfig: { NetworkMode: network(sandbox), LogConfig: { Type: "none" } },
    };
    const container = idOf(await api.ask("POST", "/containers/create", body), "Id");
    try {
      const socket = await api.stream(`/containers/${container}/attach?stream=1&stdout=1&stderr=1`);
      await api.ask("POST", `/containers/${container}/start`);
      let text = "";
      for await (const chunk of socket.pipe(new FrameReader()) as AsyncIterable<Buffer>) text += String(chunk);
      return text;
    } finally {
      await api.ask("DELETE", `/containers/${container}?force=1`);
    }
  };
  /** Identities and keys in the order in which relays were made. */
  const keys = (): readonly Pick<RelayOrders, "identity" | "key">[] =>
    Array.from({ length: Math.floor(drawn.length / 3) }, (_, n) => ({
      identity: drawn[3 * n] ?? "",
      key: (drawn[3 * n + 1] ?? "") + (drawn[3 * n + 2] ?? ""),
    }));
  return { backend: again(), again, api, leftovers, kept, close, relayOf, portOf, inNetworkOf, keys };
}

const LISTENS = "0A";

/** proc_pid_net(5): the address stands there as the machine holds it. */
function listeningAt(host: string): number {
  const address = Buffer.from(host.split(".").map(Number)).readUInt32LE().toString(16).padStart(8, "0").toUpperCase();
  for (const line of readFileSync("/proc/net/tcp", "latin1").split("\n")) {
    const [, local = "", , state] = line.trim().split(/\s+/);
    if (state === LISTENS && local.startsWith(`${address}:`)) return Number.parseInt(local.slice(9), 16);
  }
  throw new Error(`nobody listens at ${host}`);
}
