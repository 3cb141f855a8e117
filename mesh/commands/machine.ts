import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Clock } from "../../lib/clock.ts";
import { randomId } from "../../lib/id.ts";
import type { Fleet } from "../config/fleet.ts";
import { readSurroundings } from "../config/surroundings.ts";
import { createDockerBackend } from "../sandbox/docker/backend.ts";
import { createOciBackend } from "../sandbox/oci.ts";
import { ensureRootfs, entriesWithRelay } from "../sandbox/rootfs.ts";
import { rootfsCache } from "./root-file-systems.ts";
import { runtimeProfiles } from "../sandbox/runtime-profile.ts";
import { findRuntime } from "../sandbox/runtime.ts";
import type { SandboxBackend } from "../sandbox/backend.ts";

const projectDir = fileURLToPath(new URL("../..", import.meta.url));

/** The sandboxes of this machine: builds the agents' root file system if it is not there yet. */
export async function localBackend(parts: {
  readonly installation: string;
  readonly state: string;
  readonly clock: Clock;
  /** As the fleet file asks; absent: the `oci` backend. */
  readonly backend?: Fleet["backend"] | undefined;
}): Promise<SandboxBackend> {
  const { installation, state, clock } = parts;
  const cacheDir = rootfsCache(state);
  // Who cannot use it lacks more than that: the backend says all of it.
  const rootfs =
    process.getuid?.() === 0
      ? await ensureRootfs({
          ...{ cacheDir, projectDir, nodePath: process.execPath, clock },
          ...(parts.backend?.name === "docker" && { entries: entriesWithRelay }),
        })
      : join(cacheDir, "not-built");
  if (parts.backend?.name === "docker") {
    const { socketPath, relay } = parts.backend;
    return createDockerBackend({
      ...{ installation, stateDir: state, rootfs, clock, id: randomId, relay },
      ...(socketPath !== null && { socketPath }),
    });
  }
  const path = readSurroundings().path.join(":");
  const [runtime, gvisor] = [await findRuntime(path), await findRuntime(path, runtimeProfiles.gvisor)];
  return createOciBackend({ installation, stateDir: state, rootfs, runtime, gvisor, clock });
}
