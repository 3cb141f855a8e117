// System calls without a shell, a compiler or a child process: the runtime's own foreign-function interface.
const x64 = process.arch === "x64";
const pick = (onX64, onArm64) => (x64 ? onX64 : onArm64);

export const nr = {
  mount: pick(165, 40),
  unshare: pick(272, 97),
  setns: pick(308, 268),
  pivot_root: pick(155, 41),
  ptrace: pick(101, 117),
  process_vm_readv: pick(310, 270),
  mknodat: pick(259, 33),
  setuid: pick(105, 146),
  keyctl: pick(250, 219),
  bpf: pick(321, 280),
  perf_event_open: pick(298, 241),
  userfaultfd: pick(323, 282),
  io_uring_setup: 425,
  init_module: pick(175, 105),
  open_by_handle_at: pick(304, 265),
  socket: pick(41, 198),
};

let loaded;
function load() {
  if (loaded) return loaded;
  const warn = process.emitWarning;
  process.emitWarning = () => {};
  const ffi = process.getBuiltinModule("node:ffi");
  const long = ["i64", "i64", "i64", "i64", "i64", "i64", "i64"];
  const { functions } = ffi.dlopen(null, {
    syscall: { return: "i64", arguments: long },
    __errno_location: { return: "pointer", arguments: [] },
    fork: { return: "i32", arguments: [] },
    pause: { return: "i32", arguments: [] },
    waitpid: { return: "i32", arguments: ["i32", "pointer", "i32"] },
    posix_fallocate: { return: "i32", arguments: ["i32", "i64", "i64"] },
  });
  process.emitWarning = warn;
  return (loaded = { ...functions, ffi });
}

export const libc = () => load();

const names = {
  1: "EPERM",
  3: "ESRCH",
  12: "ENOMEM",
  13: "EACCES",
  14: "EFAULT",
  22: "EINVAL",
  38: "ENOSYS",
  93: "EPROTONOSUPPORT",
  94: "ESOCKTNOSUPPORT",
  97: "EAFNOSUPPORT",
  126: "ENOKEY",
};
export const errnoName = (number) => names[number] ?? `errno ${number}`;

/** Text and bytes are passed by address. Returns { value, errno } where errno is a name, or "" on success. */
export function call(name, ...args) {
  const { syscall, __errno_location, ffi } = load();
  const kept = args.map((arg) => (typeof arg === "string" ? Buffer.from(`${arg}\0`) : arg));
  const longs = kept.map((arg) => (Buffer.isBuffer(arg) ? ffi.getRawPointer(arg) : BigInt(arg)));
  while (longs.length < 6) longs.push(0n);
  const value = syscall(BigInt(nr[name]), ...longs);
  return { value, errno: value === -1n ? errnoName(ffi.getInt32(__errno_location(), 0)) : "" };
}
