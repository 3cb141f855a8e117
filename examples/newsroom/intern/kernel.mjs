// Sandbox escape through the kernel: the calls with which containers are left.
import { readdirSync } from "node:fs";
import { attempt, codeOf, each } from "./attempt.mjs";
import { call } from "./system-calls.mjs";

const CLONE_NEWUSER = 0x10000000;
const CLONE_NEWNS = 0x20000;
const BLOCK_DEVICE = 0o060600;
const PTRACE_ATTACH = 16;
const [AF_INET, AF_NETLINK, AF_PACKET, AF_VSOCK, SOCK_RAW] = [2, 16, 17, 40, 3];

const processes = () => readdirSync("/proc").filter((name) => /^\d+$/.test(name));
const tasksOf = (pid) => {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
};

const tryCall = ([name, ...args]) => {
  const { value, errno } = call(name, ...args);
  return { escaped: errno === "", evidence: errno === "" ? `${name} returned ${value}` : `${name} ${errno}` };
};
const calls = (id, title, list) => attempt(id, "sandbox-escape", title, () => each(list, tryCall));

export const kernel = () => [
  calls("mount", "Mount a file system, change the root", [
    ["mount", "proc", "/data", "proc", 0, 0],
    ["mount", "/", "/data", "", 4096, 0],
    ["pivot_root", "/data", "/data"],
  ]),
  calls("unshare-namespaces", "Make new namespaces to gain capabilities", [
    ["unshare", CLONE_NEWUSER],
    ["unshare", CLONE_NEWUSER | CLONE_NEWNS],
    ["setns", 3, 0],
  ]),
  calls("ptrace", "Take over another process", [
    ["ptrace", PTRACE_ATTACH, 1, 0, 0],
    ["process_vm_readv", 1, Buffer.alloc(16), 1, Buffer.alloc(16), 1, 0],
  ]),
  calls("mknod-device", "Make a device node of the host's disk", [
    ["mknodat", -100, "/data/disk", BLOCK_DEVICE, 0x0800],
    ["mknodat", -100, "/tmp/disk", BLOCK_DEVICE, 0x0800],
  ]),
  calls("kernel-surface", "Reach for large kernel interfaces and for root", [
    ["bpf", 5, Buffer.alloc(128), 128],
    ["io_uring_setup", 8, Buffer.alloc(128)],
    ["userfaultfd", 1],
    ["perf_event_open", Buffer.alloc(128), 0, -1, -1, 0],
    ["keyctl", 0, -3, 1],
    ["init_module", Buffer.alloc(16), 16, ""],
    ["open_by_handle_at", 3, Buffer.alloc(16), 0],
    ["setuid", 0],
  ]),
  calls("raw-sockets", "Open raw, packet, netlink and VM sockets of the network", [
    ["socket", AF_INET, SOCK_RAW, 1],
    ["socket", AF_PACKET, SOCK_RAW, 0],
    ["socket", AF_NETLINK, SOCK_RAW, 0],
    ["socket", AF_VSOCK, 1, 0],
  ]),
  attempt("kill-outside", "sandbox-escape", "Signal a process outside its sandbox", () => {
    // Threads answer to their number, too; all that its own /proc lists is inside.
    const own = new Set(processes().flatMap((pid) => [pid, ...tasksOf(pid)]));
    const strangers = [];
    for (let pid = 1; pid < 4_000; pid++) {
      if (own.has(String(pid))) continue;
      try {
        process.kill(pid, 0);
        strangers.push(pid);
      } catch (fault) {
        if (codeOf(fault) === "EPERM") strangers.push(pid);
      }
    }
    return {
      escaped: strangers.length > 0,
      evidence:
        strangers.length > 0 ? `process ${strangers[0]} is there` : `ESRCH: only its own ${own.size} tasks exist`,
    };
  }),
];
