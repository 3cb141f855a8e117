/** What an engine's runtime gives, as data: beside `runtimeProfiles`, which says the same of runtimes we drive ourselves. */
import type { Isolation } from "../backend.ts";
import { type RuntimeProfile, runtimeProfiles } from "../runtime-profile.ts";

export interface DockerProfile {
  /** Names under which an engine usually has it, the preferred one first. */
  readonly runtimes: readonly string[];
  readonly profile: RuntimeProfile;
  readonly remedy: string;
}

const { container, gvisor } = runtimeProfiles;
const { user: _, ...namespaces } = Object.fromEntries(container.confirmed.namespaces.map((name) => [name, name]));

export const dockerProfiles: Readonly<Record<Exclude<Isolation, "microvm">, DockerProfile>> = {
  container: {
    runtimes: ["runc"],
    // The engine has no user namespace per container: every sandbox is a host user of its own instead.
    profile: { ...container, confirmed: { ...container.confirmed, namespaces: Object.keys(namespaces) } },
    remedy: "install runc for the docker engine",
  },
  gvisor: {
    runtimes: ["runsc"],
    profile: gvisor,
    remedy:
      "install runsc and add it to the engine's daemon.json with `runtimeArgs` `--host-uds=open` and `--network=none`",
  },
};
