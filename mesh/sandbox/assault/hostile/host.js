import fs from "node:fs";
import tty from "node:tty";
import { every, hole, wall } from "./report.js";

const READABLE_BYTES = 64;
const KERNEL_FILES = ["kcore", "kallsyms", "keys", "timer_list", "iomem", "sched_debug", "config.gz"];
/** Opened for writing and closed: nothing is written. None is of the sandbox's own namespaces. */
const KERNEL_KNOBS = [
  ...["kernel/core_pattern", "kernel/modprobe", "kernel/panic", "kernel/sysrq", "kernel/randomize_va_space"],
  ...["vm/overcommit_memory", "vm/drop_caches", "fs/file-max", "fs/binfmt_misc/register"],
].map((path) => `/proc/sys/${path}`);
const SYS_KNOBS = [
  ...["kernel/uevent_helper", "kernel/mm/transparent_hugepage/enabled", "power/state", "kernel/profiling"],
  ...["module/kernel/parameters/panic", "kernel/mm/ksm/run", "kernel/rcu_expedited"],
].map((path) => `/sys/${path}`);
const KERNEL_TREES = ["/sys/kernel/debug", "/sys/kernel/tracing", "/sys/fs/bpf", "/sys/firmware/efi/efivars"];
// No watchdog here: to open one is to start it.
const DEVICES = [
  ...["mem", "kmem", "kmsg", "port", "kvm", "fuse", "loop-control", "loop0", "sda", "vda", "nvme0n1", "xvda"],
  ...["net/tun", "vhost-vsock", "vhost-net", "mapper/control", "dri/card0", "nvidia0", "uinput", "snapshot"],
];
const HARMLESS_DEVICES = [
  ...["null", "zero", "full", "random", "urandom", "tty", "fd", "stdin", "stdout", "stderr"],
  ...["ptmx", "pts", "console", "shm", "mqueue", "core"],
];
const NOT_TO_WRITE = ["/", "/etc", "/bin", "/usr/bin", "/lib", "/opt", "/opt/cordon", "/run/cordon", "/code", "/dev"];

/** The number of the null device: runtimes bind it over what they hide, and whoever writes there writes to nobody. */
const NULL_DEVICE = 0x103;
const opens = (path, flags) => {
  const fd = fs.openSync(path, flags);
  const about = fs.fstatSync(fd);
  fs.closeSync(fd);
  return about.isCharacterDevice() && about.rdev === NULL_DEVICE ? wall("masked") : hole(`${path} opened`);
};
/** A file that can be read without a byte of content was masked, one full of zeros hides its addresses. */
function readable(path) {
  const fd = fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
  const bytes = Buffer.alloc(READABLE_BYTES);
  const count = fs.readSync(fd, bytes);
  fs.closeSync(fd);
  if (count === 0) return wall("empty");
  const text = bytes.toString("latin1", 0, count);
  return /^[0\s]{8}/.test(text) ? wall("addresses are hidden") : hole(`${path} read`);
}
/** Opened only: to read the log is to take it from who reads it on the host. A masked file is the null device. */
function kernelLog() {
  const fd = fs.openSync("/proc/kmsg", fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
  const masked = fs.fstatSync(fd).isCharacterDevice();
  fs.closeSync(fd);
  return masked ? wall("masked") : hole("/proc/kmsg opened");
}
const entries = (path) => {
  const names = fs.readdirSync(path);
  return names.length === 0 ? wall("empty") : hole(`${path}: ${names.slice(0, 3).join(", ")}`);
};
function createIn(folder) {
  const path = `${folder}/cordon-assault`;
  fs.writeFileSync(path, "x", { flag: "wx" });
  fs.rmSync(path);
  return hole(`wrote to ${folder}`);
}

export function tryHost(report, { canary, nonce, ownDevices }, seen) {
  // A kernel of its own may make up devices, with none of the host's behind them.
  const foreign = (names) => names.filter((name) => !ownDevices.includes(name));
  report("host-file", () => {
    const ways = [
      canary.path,
      `/proc/1/root${canary.path}`,
      `/proc/self/cwd/../../../../..${canary.path}`,
      ...seen.canaries,
    ];
    return every(ways, (path) => {
      if (!fs.readFileSync(path, "utf8").includes(nonce)) return wall("another file");
      return hole(`read ${path}`);
    });
  });
  report("host-file-write", () => every([canary.path, ...seen.canaries], (path) => opens(path, "r+")));
  report("host-devices", () =>
    every(
      foreign(DEVICES)
        .map((name) => `/dev/${name}`)
        .concat(seen.blockDevices),
      (path) => opens(path, "r"),
    ),
  );
  report("host-devices-present", () => {
    const others = fs
      .readdirSync("/dev", { withFileTypes: true })
      .filter((each) => each.isCharacterDevice() || each.isBlockDevice())
      .map(({ name }) => name)
      .filter((name) => !HARMLESS_DEVICES.includes(name));
    return foreign(others).length > 0 ? hole(others.slice(0, 8).join(", ")) : wall("only harmless ones");
  });
  report("host-terminal", () => {
    const fd = fs.openSync("/dev/tty", "r+");
    const real = tty.isatty(fd);
    fs.closeSync(fd);
    return real ? hole("a controlling terminal") : wall("not a terminal");
  });
  report("kernel-knobs", () => every(KERNEL_KNOBS, (path) => opens(path, "r+")));
  report("kernel-sysrq", () => opens("/proc/sysrq-trigger", fs.constants.O_WRONLY));
  report("kernel-sys-knobs", () =>
    every([...SYS_KNOBS, ...seen.releaseAgents], (path) => opens(path, fs.constants.O_WRONLY)),
  );
  report("kernel-sys-visible", () => entries("/sys"));
  report("kernel-trees", () => every(KERNEL_TREES, entries));
  report("kernel-log", kernelLog);
  report("kernel-files", () =>
    every(
      KERNEL_FILES.map((name) => `/proc/${name}`),
      readable,
    ),
  );
  report("root-write", () => every(NOT_TO_WRITE, createIn));
  report("root-replace-node", () => every(["/bin/node", "/proc/self/exe"], (path) => opens(path, "r+")));
  report("root-setuid-programs", () =>
    seen.setuid.length > 0 ? hole(seen.setuid.slice(0, 4).join(", ")) : wall(`none in ${seen.entries} entries`),
  );
  report("root-other-doors", () => {
    const others = fs.readdirSync("/run/cordon").filter((name) => name !== "door.sock");
    return others.length > 0 ? hole(others.join(", ")) : wall("its own door only");
  });
}
