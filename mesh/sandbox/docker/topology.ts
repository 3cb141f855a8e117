/** How a sandbox's door gets into its container. */
import type { Clock } from "../../../lib/clock.ts";
import { SandboxError } from "../backend.ts";
import type { EngineInfo } from "./answers.ts";
import { DOCKER_SOCKET, DockerEngine } from "./engine.ts";
import { engineInfo } from "./info.ts";

export type Topology = "socket" | "relay";

/** The road of a relay to the mesh. */
export interface Way {
  /** Its network has no way out, as far as the engine can see to it. */
  readonly internal: boolean;
  /** Where the mesh listens, and by which name the relay goes there; null: the gateway of the relay's own network. */
  readonly bindTo: string | null;
  readonly host: string | null;
  readonly extraHosts: readonly string[];
}

const DESKTOP_HOST = "host.docker.internal";

/** Docker Desktop, on whatever system: its engine runs in a machine of its own, into which no socket can be passed. */
export const isDesktop = (info: EngineInfo): boolean =>
  info.OSType !== "linux" || /\bDocker Desktop\b/.test(info.OperatingSystem ?? "");

/** Told, never tried: a door that is mounted where it cannot be is a sandbox without one. */
export const topologyOf = (info: EngineInfo, relayWanted: boolean): Topology =>
  relayWanted || isDesktop(info) ? "relay" : "socket";

export function wayOf(info: EngineInfo): Way {
  if (!isDesktop(info)) return { internal: true, bindTo: null, host: null, extraHosts: [] };
  // An internal network has no way to the machine outside. The name goes into the container's list of hosts, as it has no resolver.
  return { internal: false, bindTo: "127.0.0.1", host: DESKTOP_HOST, extraHosts: [`${DESKTOP_HOST}:host-gateway`] };
}

/** For the operator: how the usual engine's sandboxes would get their doors; null when it does not answer. */
export async function doorsOfUsualEngine(clock: Clock): Promise<string | null> {
  try {
    const info = await engineInfo(new DockerEngine(DOCKER_SOCKET, clock));
    return topologyOf(info, false) === "relay"
      ? `through relay containers, for \`${info.OperatingSystem}\` runs in a machine of its own`
      : "sockets of this machine, mounted (through relay containers with `docker: { relay: true }`)";
  } catch (error) {
    if (error instanceof SandboxError) return null;
    throw error;
  }
}
