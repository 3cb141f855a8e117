/** What a probe must report, so that an attempt that never ran cannot pass. Each name is printed by a file in probe/. */

import type { Isolation } from "./backend.ts";

/** Proofs that the probe did run: these must succeed. */
export const controls = [
  "control: the door answers",
  "control: /data can be written",
  "control: /tmp can be written",
  "control: call getpid",
  "control: call getuid",
] as const;

const network = `tcp to the host|tcp to the host's loopback|tcp to the internet|tcp over ipv6|metadata address|udp to the host|
udp to the internet|dns through the c library|dns by hand|abstract socket of the host or a sibling|network interfaces`;

const files = `write to the root|replace node|write to /proc/sys|kernel through /proc|sysrq|/sys|devices|devices present|
controlling terminal|container engine|other doors|processes of the host|host files through /proc/1/root|
run a program from /tmp|become root|give a file away`;

const calls = `io_uring_setup io_uring_enter ptrace process_vm_readv process_vm_writev pidfd_getfd kcmp bpf userfaultfd
perf_event_open add_key request_key keyctl mount umount2 pivot_root open_tree move_mount fsopen mount_setattr chroot
unshare_user unshare_net setns clone_new_user clone3 kexec_load init_module finit_module delete_module
open_by_handle_at name_to_handle_at personality mknodat setuid setgid setgroups capset swapon sethostname
clock_settime quotactl syslog reboot memfd_create vmsplice sync seccomp ioctl_tiocsti prctl_set_seccomp
socket_netlink socket_packet socket_vsock socket_alg socket_raw_ipv4 socket_raw_ipv6 socket_icmp_datagram
socket_high_bits`;

const named = (list: string): readonly string[] => list.split("|").map((name) => name.trim());

/** Attempts that must all be stopped on this architecture, by what they go for. */
export const attemptsAt = {
  network: named(network),
  host: named(files),
  kernel: [
    ...calls.split(/\s+/).map((name) => `call ${name}`),
    ...(process.arch === "x64" ? ["calls of i386", "calls of x32"] : []),
  ],
} as const;

export const attempts: readonly string[] = [...attemptsAt.network, ...attemptsAt.host, ...attemptsAt.kernel];

/** What a fence with a kernel of its own changes for the probe. */
export interface Surroundings {
  /** Devices that this kernel makes up and answers itself; none of the host's is behind them. */
  readonly ownDevices: readonly string[];
  /** Attempts that ask nothing there, each with the reason. */
  readonly leftOut: Readonly<Record<string, string>>;
}

const foreign = "the application kernel has one table of calls, whichever door they come through";

export const surroundingsOf: Readonly<Record<Isolation, Surroundings>> = {
  container: { ownDevices: [], leftOut: {} },
  gvisor: {
    ownDevices: ["fuse", "ptmx", "net/tun"],
    leftOut: {
      "calls of i386": foreign,
      "calls of x32": foreign,
      "call clone3": "what it makes exists inside the application kernel only; see `clone3` in runtime-profile.ts",
    },
  },
  // A whole kernel stands between: what is asked of it is not asked of the host's.
  microvm: { ownDevices: [], leftOut: {} },
};

/** What must be reported from a sandbox of this isolation. */
export const attemptsOf = (isolation: Isolation): readonly string[] =>
  attempts.filter((name) => surroundingsOf[isolation].leftOut[name] === undefined);
