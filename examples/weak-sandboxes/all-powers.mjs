// Weak: root as on the host, every capability, no filter, and the kernel's settings open to writing.
import { readFileSync } from "node:fs";
import { launch } from "./container.mjs";

// linux/capability.h, by number.
const NAMES = `CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE
  NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE
  SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL
  SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE`.split(
  /\s+/,
);
/** All that the launcher has itself: nobody can give more. */
const own = BigInt(`0x${/^CapPrm:\s+([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8"))[1]}`);
const CAPABILITIES = NAMES.filter((_, bit) => (own >> BigInt(bit)) & 1n).map((name) => `CAP_${name}`);

await launch((config) => {
  config.root.readonly = false;
  config.process.user = { uid: 0, gid: 0 };
  config.process.noNewPrivileges = false;
  config.process.rlimits = [];
  config.process.capabilities = Object.fromEntries(
    ["bounding", "effective", "inheritable", "permitted"].map((set) => [set, CAPABILITIES]),
  );
  config.mounts.push({ type: "sysfs", source: "sysfs", destination: "/sys", options: ["rw"] });
  config.linux.maskedPaths = [];
  config.linux.readonlyPaths = [];
  delete config.linux.resources.pids;
});
