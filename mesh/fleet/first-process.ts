import { guestRuntime, sandboxPaths } from "../../protocol/sandbox-paths.ts";
import type { AgentSetting } from "../config/fleet.ts";

/** PID 1 of an agent's sandbox with what it runs. In a root file system that is not ours, Node has a loader of its own. */
export function firstProcess({ command, rootfs }: Pick<AgentSetting, "command" | "rootfs">): readonly string[] {
  const { loader, libraries, node } = guestRuntime;
  const start = rootfs === undefined ? [sandboxPaths.node] : [loader, "--library-path", libraries, node];
  // Without threads of V8: four fewer to start in each sandbox, whose one core they would share.
  const options = ["--disable-warning=ExperimentalWarning", "--v8-pool-size=0"];
  return [...start, ...options, sandboxPaths.init, ...(command ?? [])];
}
