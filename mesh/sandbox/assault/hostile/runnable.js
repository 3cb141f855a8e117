import { spawnSync } from "node:child_process";
import { copyFileSync, chmodSync } from "node:fs";

const PLACES = ["/data", "/tmp", "/dev/shm", "/var/tmp", "/run", "."];

/**
 * Finds out how a program of the suite can be run here: where it stands, or copied to the first folder that may be
 * written to and run from. Returns name → path.
 */
export function runnable(here) {
  const runs = (path) => spawnSync(path, { timeout: 5_000 }).stdout?.length === 8;
  const own = (name) => `${here}/bin/${name}`;
  if (runs(own("getpid"))) return own;
  for (const place of PLACES) {
    const copied = (name) => {
      const path = `${place}/cordon-${name}`;
      copyFileSync(own(name), path);
      chmodSync(path, 0o755);
      return path;
    };
    try {
      if (runs(copied("getpid"))) return copied;
    } catch {
      // The next one, perhaps.
    }
  }
  return own;
}
