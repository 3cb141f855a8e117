/**
 * The system calls of a sandbox: an allow-list (OCI runtime specification, `linux.seccomp`). What is not
 * listed fails with EPERM. Sized for Node 26, CPython, shells and git; grow it only for a program that
 * was seen to need the call, and never by a call that test/attack/sandbox/syscalls.test.ts names.
 *
 * Left out on purpose: namespaces and mounts (unshare, setns, mount*, fs*, move_mount, open_tree, pivot_root, chroot),
 * other processes' memory (ptrace, process_vm_*, pidfd_getfd, kcmp), large kernel surfaces (io_uring_*, bpf,
 * userfaultfd, perf_event_open, keyctl family, splice/vmsplice, memfd_create, SysV IPC, POSIX queues),
 * mknod (also FIFOs), file handles, changing ids or capabilities, personality, sync (stalls the host).
 */
import type { RuntimeProfile } from "./runtime-profile.ts";
import { alwaysTold } from "./telling-calls.ts";

const files = `read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 open openat openat2 creat
  close close_range lseek stat fstat lstat newfstatat statx statfs fstatfs access faccessat faccessat2 readlink
  readlinkat getdents getdents64 getcwd chdir fchdir mkdir mkdirat rmdir rename renameat renameat2 link linkat symlink
  symlinkat unlink unlinkat chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat utime utimes utimensat
  futimesat truncate ftruncate fallocate fsync fdatasync sync_file_range flock fadvise64 readahead copy_file_range
  sendfile umask dup dup2 dup3 pipe pipe2 fcntl getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr
  inotify_init inotify_init1 inotify_add_watch inotify_rm_watch`;
const waiting = `poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2
  eventfd eventfd2 timerfd_create timerfd_settime timerfd_gettime signalfd signalfd4 futex futex_waitv nanosleep
  clock_nanosleep clock_gettime clock_getres gettimeofday time alarm setitimer getitimer timer_create timer_settime
  timer_gettime timer_getoverrun timer_delete restart_syscall pause`;
const memory = "mmap mprotect munmap mremap madvise brk msync mincore membarrier getrandom rseq";
const processes = `fork vfork execve wait4 waitid exit exit_group kill tkill tgkill getpid getppid gettid getpgid
  getpgrp setpgid getsid setsid set_tid_address set_robust_list get_robust_list rt_sigaction rt_sigprocmask
  rt_sigreturn rt_sigsuspend rt_sigpending rt_sigtimedwait rt_sigqueueinfo sigaltstack pidfd_open pidfd_send_signal
  arch_prctl sched_yield sched_getaffinity sched_setaffinity sched_getparam sched_getscheduler
  sched_get_priority_max sched_get_priority_min getpriority setpriority getcpu getuid geteuid getgid getegid getgroups
  getresuid getresgid capget getrlimit setrlimit prlimit64 getrusage times sysinfo uname`;
const sockets = `bind connect listen accept accept4 getsockname getpeername setsockopt getsockopt sendto recvfrom
  sendmsg recvmsg sendmmsg recvmmsg shutdown`;

const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_TYPE_MASK = 0xf;
const SOCK_RAW = 3;
/** CLONE_NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET of linux/sched.h. */
const CLONE_NAMESPACES = 0x7e02_0000;
/** TCGETS, TIOCGPGRP, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX, FIOASYNC, FICLONE. */
const IOCTLS = [0x5401, 0x540f, 0x5413, 0x541b, 0x5421, 0x5450, 0x5451, 0x5452, 0x4004_9409];
/** PR_SET_PDEATHSIG, GET/SET_DUMPABLE, SET/GET_NAME, CAPBSET_READ, SET_CHILD_SUBREAPER, SET/GET_NO_NEW_PRIVS, SET_VMA. */
const PRCTLS = [1, 3, 4, 15, 16, 23, 36, 38, 39, 0x5356_4d41];

const EPERM = 1;
const ENOSYS = 38;

interface Condition {
  readonly index: number;
  readonly value: number;
  readonly valueTwo?: number;
  readonly op: "SCMP_CMP_EQ" | "SCMP_CMP_MASKED_EQ";
}
interface Rule {
  readonly names: readonly string[];
  readonly action: "SCMP_ACT_ALLOW" | "SCMP_ACT_ERRNO" | "SCMP_ACT_NOTIFY";
  readonly errnoRet?: number;
  readonly args?: readonly Condition[];
}

const IPPROTO_TCP = 6;
const IPPROTO_UDP = 17;

/** Equality only: the kernel cuts some arguments to 32 bits, so "not equal" could be walked around with high bits. */
const equals = (index: number, value: number): Condition => ({ index, value, op: "SCMP_CMP_EQ" });
const masked = (index: number, mask: number, value: number): Condition => ({
  index,
  value: mask,
  valueTwo: value,
  op: "SCMP_CMP_MASKED_EQ",
});
const allow = (names: string, ...args: readonly Condition[]): Rule => ({
  names: names.split(/\s+/),
  action: "SCMP_ACT_ALLOW",
  ...(args.length > 0 ? { args } : {}),
});

const rules: readonly Rule[] = [
  ...[files, waiting, memory, processes, sockets].map((names) => allow(names)),
  ...[SOCK_STREAM, SOCK_DGRAM].map((type) =>
    allow("socket", equals(0, AF_UNIX), masked(1, SOCK_TYPE_MASK, type), equals(2, 0)),
  ),
  // By protocol, too: a datagram socket of ICMP needs no capability where the system permits ping to everybody.
  ...[AF_INET, AF_INET6].flatMap((family) =>
    [
      [SOCK_STREAM, 0],
      [SOCK_STREAM, IPPROTO_TCP],
      [SOCK_DGRAM, 0],
      [SOCK_DGRAM, IPPROTO_UDP],
    ].map(([type = 0, protocol = 0]) =>
      allow("socket", equals(0, family), masked(1, SOCK_TYPE_MASK, type), equals(2, protocol)),
    ),
  ),
  allow("socketpair", equals(0, AF_UNIX)),
  allow("clone", masked(0, CLONE_NAMESPACES, 0)),
  ...IOCTLS.map((request) => allow("ioctl", equals(1, request))),
  ...PRCTLS.map((option) => allow("prctl", equals(0, option))),
];

/** AF_KEY, PACKET, RDS, CAN, TIPC, BLUETOOTH, ALG, VSOCK, QIPCRTR, XDP. */
const TOLD_FAMILIES = [15, 17, 21, 29, 30, 31, 38, 40, 42, 44];
const S_IFMT = 0xf000;
/** S_IFCHR, S_IFBLK. */
const DEVICES = [0x2000, 0x6000];
/** Bits of io_uring_setup's number of entries that no event loop of libuv sets: it asks for 256, or 64. */
const UNUSUAL_ENTRIES = 0xffff & ~(256 | 64);

const tell = (names: readonly string[], ...args: readonly Condition[]): Rule => ({
  names,
  action: "SCMP_ACT_NOTIFY",
  ...(args.length > 0 ? { args } : {}),
});

/** Each of these is refused without the rule, too: a rule only says that somebody is told. */
const toldRules: readonly Rule[] = [
  tell(alwaysTold),
  ...bitsOf(CLONE_NAMESPACES).map((flag) => tell(["clone"], masked(0, flag, flag))),
  ...TOLD_FAMILIES.map((family) => tell(["socket"], equals(0, family))),
  ...[AF_INET, AF_INET6].map((family) => tell(["socket"], equals(0, family), masked(1, SOCK_TYPE_MASK, SOCK_RAW))),
  ...bitsOf(UNUSUAL_ENTRIES).map((bit) => tell(["io_uring_setup"], masked(0, bit, bit))),
  ...DEVICES.flatMap((type) => [tell(["mknod"], masked(1, S_IFMT, type)), tell(["mknodat"], masked(2, S_IFMT, type))]),
];

function bitsOf(mask: number): readonly number[] {
  return Array.from({ length: 31 }, (_, bit) => 2 ** bit).filter((bit) => (mask & bit) !== 0);
}

const architectures: Readonly<Record<string, string>> = { x64: "SCMP_ARCH_X86_64", arm64: "SCMP_ARCH_AARCH64" };

/** Its flags are behind a pointer, where a filter cannot look; ENOSYS makes the C library fall back to clone. */
const clone3Rules: Readonly<Record<RuntimeProfile["clone3"], Rule>> = {
  refused: { names: ["clone3"], action: "SCMP_ACT_ERRNO", errnoRet: ENOSYS },
  "left to the application kernel": allow("clone3"),
};

/**
 * The OCI `linux.seccomp` object, or undefined on an architecture whose list nobody has checked. `listener`: path of the Unix socket
 * at which somebody answers the refused calls of telling-calls.ts with EPERM; without one the filter does.
 */
export function seccompFor(
  architecture: string,
  clone3: RuntimeProfile["clone3"] = "refused",
  listener?: string,
): object | undefined {
  const name = architectures[architecture];
  // One architecture only: a call through another one (i386, x32) kills the process.
  if (name === undefined) return undefined;
  return {
    defaultAction: "SCMP_ACT_ERRNO",
    defaultErrnoRet: EPERM,
    architectures: [name],
    syscalls: [...rules, clone3Rules[clone3], ...(listener === undefined ? [] : toldRules)],
    ...(listener === undefined ? {} : { listenerPath: listener }),
  };
}
