// The system calls that no sandbox may make: [x86-64 number, arm64 number, arguments]. Pointers are null, so that
// a call that gets past the filter shows by EFAULT or EINVAL, which counts as a hole even though nothing happened.
const CLONE_NEWUSER = 0x10000000;
const CLONE_NEWNET = 0x40000000;
const SIGCHLD = 17;
const CURRENT_FOLDER = -100;

export const forbiddenCalls = {
  io_uring_setup: [425, 425, 1, 0],
  io_uring_enter: [426, 426, 0, 0, 0, 0, 0, 0],
  ptrace: [101, 117, 0, 0, 0, 0],
  process_vm_readv: [310, 270, 1, 0, 0, 0, 0, 0],
  process_vm_writev: [311, 271, 1, 0, 0, 0, 0, 0],
  pidfd_getfd: [438, 438, 0, 0, 0],
  kcmp: [312, 272, 1, 1, 0, 0, 0],
  bpf: [321, 280, 0, 0, 0],
  userfaultfd: [323, 282, 1],
  perf_event_open: [298, 241, 0, 0, -1, -1, 0],
  add_key: [248, 217, 0, 0, 0, 0, 0],
  request_key: [249, 218, 0, 0, 0, 0],
  keyctl: [250, 219, 0, -3, 0, 0, 0],
  mount: [165, 40, 0, 0, 0, 0, 0],
  umount2: [166, 39, 0, 0],
  pivot_root: [155, 41, 0, 0],
  open_tree: [428, 428, CURRENT_FOLDER, 0, 0],
  move_mount: [429, 429, 0, 0, 0, 0, 0],
  fsopen: [430, 430, 0, 0],
  mount_setattr: [442, 442, 0, 0, 0, 0, 0],
  chroot: [161, 51, 0],
  unshare_user: [272, 97, CLONE_NEWUSER],
  unshare_net: [272, 97, CLONE_NEWNET],
  setns: [308, 268, 0, 0],
  clone_new_user: [56, 220, CLONE_NEWUSER + SIGCHLD, 0, 0, 0, 0],
  clone3: [435, 435, 0, 0],
  kexec_load: [246, 104, 0, 0, 0, 0],
  init_module: [175, 105, 0, 0, 0],
  finit_module: [313, 273, 0, 0, 0],
  delete_module: [176, 106, 0, 0],
  open_by_handle_at: [304, 265, 0, 0, 0],
  name_to_handle_at: [303, 264, CURRENT_FOLDER, 0, 0, 0, 0],
  personality: [135, 92, 0x40000],
  mknodat: [259, 33, CURRENT_FOLDER, 0, 0o20666, 0x0101],
  setuid: [105, 146, 0],
  setgid: [106, 144, 0],
  setgroups: [116, 159, 0, 0],
  capset: [126, 91, 0, 0],
  swapon: [167, 224, 0, 0],
  sethostname: [170, 161, 0, 1],
  clock_settime: [227, 112, 0, 0],
  quotactl: [179, 60, 0, 0, 0, 0],
  syslog: [103, 116, 3, 0, 0],
  reboot: [169, 142, 0, 0, 0, 0],
  memfd_create: [319, 279, 0, 0],
  vmsplice: [278, 75, 0, 0, 0, 0],
  sync: [162, 81],
  seccomp: [317, 277, 9, 0, 0],
  ioctl_tiocsti: [16, 29, 0, 0x5412, 0],
  prctl_set_seccomp: [157, 167, 22, 9, 0, 0, 0],
  socket_netlink: [41, 198, 16, 3, 0],
  socket_packet: [41, 198, 17, 3, 0],
  socket_vsock: [41, 198, 40, 1, 0],
  socket_alg: [41, 198, 38, 5, 0],
  socket_raw_ipv4: [41, 198, 2, 3, 1],
  socket_raw_ipv6: [41, 198, 10, 3, 58],
  socket_icmp_datagram: [41, 198, 2, 2, 1],
  // The kernel reads 32 bits of the family; a filter that compares with "not equal" would let this pass.
  socket_high_bits: [41, 198, 0x100000010n, 3, 0],
};

/** Calls that must work, so that a program that never ran cannot look like a wall. getpid, getuid. */
export const allowedCalls = { getpid: [39, 172], getuid: [102, 174] };

/** errno values with which the fence says no; any other means that the kernel looked at the arguments. */
export const REFUSED = { 1: "EPERM", 13: "EACCES", 38: "ENOSYS" };

export const forThisMachine = ([x64, arm64, ...args]) => [process.arch === "x64" ? x64 : arm64, ...args];
