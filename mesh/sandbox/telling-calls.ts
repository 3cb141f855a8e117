/**
 * Refused calls that tell of an attempt to get out, as opposed to those that honest programs try and do without. They are
 * refused like all others; where kernel and runtime can, the mesh is told of them (denials.ts).
 *
 * Left out on purpose, because C libraries, Node, Python or git make them of their own accord: clone3, AF_NETLINK,
 * memfd_create, personality, setuid and its kin, and io_uring_setup as every event loop of Node asks for it.
 */

/** Numbers of asm/unistd_64.h (x64) and asm-generic/unistd.h (arm64); null: no such call there. */
interface Numbers {
  readonly x64: number;
  readonly arm64: number | null;
}

const call = (x64: number, arm64: number | null = x64): Numbers => ({ x64, arm64 });

/** Whatever their arguments are. */
const always: Readonly<Record<string, Numbers>> = {
  mount: call(165, 40),
  umount2: call(166, 39),
  pivot_root: call(155, 41),
  chroot: call(161, 51),
  unshare: call(272, 97),
  setns: call(308, 268),
  open_tree: call(428),
  move_mount: call(429),
  fsopen: call(430),
  fsconfig: call(431),
  fsmount: call(432),
  fspick: call(433),
  mount_setattr: call(442),
  ptrace: call(101, 117),
  process_vm_readv: call(310, 270),
  process_vm_writev: call(311, 271),
  process_madvise: call(440),
  pidfd_getfd: call(438),
  bpf: call(321, 280),
  perf_event_open: call(298, 241),
  userfaultfd: call(323, 282),
  io_uring_enter: call(426),
  io_uring_register: call(427),
  add_key: call(248, 217),
  request_key: call(249, 218),
  keyctl: call(250, 219),
  kexec_load: call(246, 104),
  kexec_file_load: call(320, 294),
  init_module: call(175, 105),
  finit_module: call(313, 273),
  delete_module: call(176, 106),
  name_to_handle_at: call(303, 264),
  open_by_handle_at: call(304, 265),
  swapon: call(167, 224),
  swapoff: call(168, 225),
  reboot: call(169, 142),
  fanotify_init: call(300, 262),
  iopl: call(172, null),
  ioperm: call(173, null),
};

/** With some arguments only: seccomp.ts says which. */
const sometimes: Readonly<Record<string, Numbers>> = {
  clone: call(56, 220),
  socket: call(41, 198),
  mknod: call(133, null),
  mknodat: call(259, 33),
  io_uring_setup: call(425),
};

export const alwaysTold: readonly string[] = Object.keys(always);

/** Number → name; empty on an architecture whose numbers nobody has checked. */
export function callNames(architecture: string): ReadonlyMap<number, string> {
  if (architecture !== "x64" && architecture !== "arm64") return new Map();
  const named = Object.entries({ ...always, ...sometimes }).map(
    ([name, numbers]) => [numbers[architecture], name] as const,
  );
  return new Map(named.filter((each): each is readonly [number, string] => each[0] !== null));
}
