// What the three weak launchers share: an ordinary container, before one of them spoils it.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

const AGENT = 1000;
export const NAMESPACES = ["pid", "network", "ipc", "uts", "mount", "cgroup"];

/** As most launchers make them: other namespaces, no capability, no root. There is no system-call filter. */
const ordinary = (rootfs, code, command) => ({
  ociVersion: "1.0.2",
  hostname: "weak",
  root: { path: rootfs, readonly: true },
  process: {
    user: { uid: AGENT, gid: AGENT },
    args: command,
    env: ["PATH=/bin", "HOME=/tmp"],
    cwd: "/tmp",
    capabilities: {},
    noNewPrivileges: true,
    rlimits: [{ type: "RLIMIT_CORE", hard: 0, soft: 0 }],
  },
  mounts: [
    { type: "proc", source: "proc", destination: "/proc", options: ["nosuid", "nodev", "noexec"] },
    { type: "tmpfs", source: "tmpfs", destination: "/dev", options: ["nosuid", "noexec", "mode=755", "size=65536"] },
    { type: "tmpfs", source: "tmpfs", destination: "/tmp", options: ["nosuid", "nodev", "mode=1777", "size=64m"] },
    { type: "bind", source: code, destination: "/code", options: ["bind", "ro"] },
  ],
  linux: {
    namespaces: NAMESPACES.map((type) => ({ type })),
    resources: {
      devices: [{ allow: false, access: "rwm" }],
      memory: { limit: 256 * 1024 ** 2, swap: 256 * 1024 ** 2 },
      pids: { limit: 128 },
    },
    maskedPaths: ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/sched_debug", "/proc/kmsg", "/sys"],
    readonlyPaths: ["/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
  },
});

/** Runs `LAUNCHER ROOTFS CODE COMMAND…` until it ends. `spoil` makes the container weak, in place. */
export async function launch(spoil) {
  const [rootfs, code, ...command] = process.argv.slice(2);
  if (!rootfs || !code || command.length === 0) {
    console.error(`usage: node ${basename(process.argv[1])} {rootfs} {code} {command}`);
    process.exit(2);
  }
  const bundle = mkdtempSync(join(tmpdir(), "cordon-weak-"));
  const config = ordinary(rootfs, code, command);
  const close = (await spoil(config, bundle)) ?? (() => {});
  writeFileSync(join(bundle, "config.json"), JSON.stringify(config));
  const id = basename(bundle);
  const runc = spawn("runc", ["run", "--bundle", bundle, id], { stdio: ["ignore", "inherit", "inherit"] });
  for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => runc.kill(signal));
  runc.once("error", (error) => console.error(error.message));
  runc.once("close", (status) => {
    close();
    rmSync(bundle, { recursive: true, force: true });
    process.exit(status ?? 1);
  });
}
