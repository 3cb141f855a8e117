import { execFileSync } from "node:child_process";
import fs from "node:fs";
import { rawCalls } from "./elf.js";
import { allowedCalls, forThisMachine } from "./raw-calls.js";

const DEVICES = [
  "mem",
  "kmem",
  "kmsg",
  "port",
  "kvm",
  "fuse",
  "loop-control",
  "loop0",
  "sda",
  "vda",
  "nvme0n1",
  "net/tun",
  "vhost-vsock",
];

const attempt = (run) => {
  try {
    return { stopped: false, by: String(run() ?? "done") };
  } catch (error) {
    return { stopped: true, by: error.code ?? error.message };
  }
};
const every = (items, run) => {
  const results = items.map((item) => attempt(() => run(item)));
  return results.find((r) => !r.stopped) ?? { stopped: true, by: [...new Set(results.map((r) => r.by))].join(", ") };
};
const only = (found, allowed) => {
  const others = found.filter((name) => !allowed.includes(name));
  return others.length > 0
    ? { stopped: false, by: others.join(", ") }
    : { stopped: true, by: `only ${found.join(", ")}` };
};

/** A file that can be read without a byte of content was masked. */
const readSome = (path) => {
  const fd = fs.openSync(path, "r");
  const bytes = fs.readSync(fd, Buffer.alloc(64));
  fs.closeSync(fd);
  if (bytes === 0) throw Object.assign(new Error("empty"), { code: "masked" });
};

/** The number of the null device: a runtime hides a file by binding it over, and to write to it is to write to nobody. */
const NULL_DEVICE = 0x103;
const isNull = (about) => about.isCharacterDevice() && about.rdev === NULL_DEVICE;

const runFrom = (path) => {
  fs.writeFileSync(path, rawCalls(Object.values(allowedCalls).map(forThisMachine)), { mode: 0o755 });
  execFileSync(path);
};

/** `ownDevices`: those that the sandbox's own kernel makes up. */
export async function tryFiles(report, { ownDevices }) {
  const say = (name, { stopped, by }) => report(name, stopped, by);
  say(
    "write to the root",
    every(["/x", "/etc/x", "/bin/x", "/opt/cordon/x", "/run/cordon/x", "/code/x", "/dev/x"], (p) =>
      fs.writeFileSync(p, "x"),
    ),
  );
  say(
    "replace node",
    every(["/bin/node", "/proc/self/exe"], (p) => fs.openSync(p, "r+")),
  );
  say(
    "write to /proc/sys",
    every(["kernel/hostname", "kernel/core_pattern", "net/ipv4/ip_forward", "vm/overcommit_memory"], (p) =>
      fs.writeFileSync(`/proc/sys/${p}`, "1"),
    ),
  );
  say(
    "kernel through /proc",
    every(["kcore", "kmsg", "kallsyms", "keys", "timer_list", "sysrq-trigger", "iomem", "modules"], (p) =>
      readSome(`/proc/${p}`),
    ),
  );
  say(
    "sysrq",
    attempt(() => {
      const fd = fs.openSync("/proc/sysrq-trigger", "w");
      if (isNull(fs.fstatSync(fd))) throw Object.assign(new Error("null device"), { code: "masked" });
      fs.writeSync(fd, "h");
    }),
  );
  say("/sys", only(fs.readdirSync("/sys"), []));
  say(
    "devices",
    every(
      DEVICES.filter((name) => !ownDevices.includes(name)),
      (name) => fs.openSync(`/dev/${name}`, "r"),
    ),
  );
  say(
    "devices present",
    only(
      fs.readdirSync("/dev").filter((n) => {
        // The runtime links /dev/core to /proc/kcore, where the kernel has one: what hides that is the null device, too.
        const about = fs.statSync(`/dev/${n}`, { throwIfNoEntry: false });
        return about?.isCharacterDevice() && (n === "null" || !isNull(about));
      }),
      ["null", "zero", "full", "random", "urandom", "tty", "fd", "stdin", "stdout", "stderr", ...ownDevices],
    ),
  );
  say(
    "controlling terminal",
    attempt(() => {
      const fd = fs.openSync("/dev/tty", "r+");
      if (fs.fstatSync(fd).rdev === fs.statSync("/dev/null").rdev) throw new Error("null device");
    }),
  );
  say(
    "container engine",
    every(["/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock"], (p) => fs.statSync(p)),
  );
  say("other doors", only(fs.readdirSync("/run/cordon"), ["door.sock"]));
  say(
    "processes of the host",
    only(
      fs
        .readdirSync("/proc")
        .filter(
          (n) => /^\d+$/.test(n) && fs.readFileSync(`/proc/${n}/cmdline`, "latin1").split("\0")[0] !== "/bin/node",
        ),
      [],
    ),
  );
  say("host files through /proc/1/root", only(fs.readdirSync("/proc/1/root"), fs.readdirSync("/")));
  say(
    "run a program from /tmp",
    attempt(() => runFrom("/tmp/program")),
  );
  say(
    "become root",
    attempt(() => process.setuid(0)),
  );
  say(
    "give a file away",
    attempt(() => {
      fs.writeFileSync("/data/owned", "");
      fs.chownSync("/data/owned", 0, 0);
    }),
  );
  say(
    "control: /tmp can be written",
    attempt(() => fs.writeFileSync("/tmp/control", "x")),
  );
  say(
    "control: /data can be written",
    attempt(() => fs.writeFileSync("/data/control", "x")),
  );
}
