/** What the filter lets through, held against a list of its own: for many of these a capability is missing, too, so that no attack could tell. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { seccompFor } from "./seccomp.ts";
import { callNames } from "./telling-calls.ts";

const NOTIFY = "SCMP_ACT_NOTIFY";

interface Filter {
  readonly defaultAction: string;
  readonly defaultErrnoRet: number;
  readonly architectures: readonly string[];
  readonly listenerPath?: string;
  readonly syscalls: readonly {
    readonly names: readonly string[];
    readonly action: string;
    readonly errnoRet?: number;
    readonly args?: readonly Condition[];
  }[];
}
interface Condition {
  readonly index: number;
  readonly value: number;
  readonly valueTwo?: number;
  readonly op: string;
}

/** No argument satisfies both. */
function apart(one: Condition, two: Condition): boolean {
  if (one.index !== two.index) return false;
  const [left, right] = [one, two].map(({ op, value, valueTwo = 0 }) =>
    op === "SCMP_CMP_EQ" ? { mask: 0xffff_ffff, wanted: value } : { mask: value, wanted: valueTwo },
  );
  const both = (left?.mask ?? 0) & (right?.mask ?? 0);
  return ((left?.wanted ?? 0) & both) !== ((right?.wanted ?? 0) & both);
}

const FORBIDDEN =
  `io_uring_setup io_uring_enter io_uring_register ptrace process_vm_readv process_vm_writev pidfd_getfd kcmp
  process_madvise bpf userfaultfd perf_event_open add_key request_key keyctl mount umount2 pivot_root open_tree move_mount
  fsopen fsconfig fsmount fspick mount_setattr chroot unshare setns kexec_load kexec_file_load init_module finit_module
  delete_module open_by_handle_at name_to_handle_at personality mknod mknodat setuid setgid setreuid setregid setresuid
  setresgid setgroups setfsuid setfsgid capset swapon swapoff sethostname setdomainname clock_settime clock_adjtime
  settimeofday adjtimex quotactl quotactl_fd syslog reboot memfd_create memfd_secret vmsplice splice tee sync syncfs seccomp
  landlock_restrict_self acct iopl ioperm modify_ldt lookup_dcookie nfsservctl uselib ustat sysfs vhangup shmget shmat
  shmctl semget semop semctl msgget msgsnd msgrcv msgctl mq_open mq_unlink mbind migrate_pages move_pages set_mempolicy
  fanotify_init setxattr lsetxattr fsetxattr removexattr sched_setscheduler sched_setattr ioprio_set`.split(/\s+/);

for (const architecture of ["x64", "arm64"])
  describe(`the filter of ${architecture}`, () => {
    const filter = seccompFor(architecture) as Filter;
    const rules = (name: string) => filter.syscalls.filter(({ names }) => names.includes(name));
    const allowed = filter.syscalls.filter(({ action }) => action === "SCMP_ACT_ALLOW");

    it("refuses with EPERM what it does not list, on one architecture", () => {
      assert.deepEqual([filter.defaultAction, filter.defaultErrnoRet], ["SCMP_ACT_ERRNO", 1]);
      assert.deepEqual(filter.architectures, [architecture === "x64" ? "SCMP_ARCH_X86_64" : "SCMP_ARCH_AARCH64"]);
    });

    it("has somebody told where there is a listener, of calls that it refuses with and without one, and of no other", () => {
      assert.deepEqual(
        [filter.listenerPath, filter.syscalls.some(({ action }) => action === NOTIFY)],
        [undefined, false],
      );
      const heard = seccompFor(architecture, "refused", "/run/denials") as Filter;
      assert.equal(heard.listenerPath, "/run/denials");
      const told = heard.syscalls.filter(({ action }) => action === NOTIFY);
      assert.deepEqual(
        { ...heard, listenerPath: undefined, syscalls: heard.syscalls.slice(0, -told.length) },
        {
          ...filter,
          listenerPath: undefined,
        },
      );
      const known = new Set(callNames(architecture).values());
      for (const { names, args } of told)
        for (const name of names) {
          assert.ok(known.has(name) || architecture === "arm64", `${name} has a number`);
          if (args === undefined) assert.deepEqual(rules(name), [], `${name} is refused whatever its arguments are`);
        }
      assert.ok(told.flatMap(({ names }) => names).length > 60);
    });

    it("is told of arguments only that no rule lets through", () => {
      const heard = seccompFor(architecture, "refused", "/run/denials") as Filter;
      for (const name of ["clone", "socket", "mknod", "mknodat", "io_uring_setup"]) {
        const told = heard.syscalls.filter(({ names, action }) => names.includes(name) && action === NOTIFY);
        assert.ok(told.length > 0, name);
        const passing = rules(name).filter(({ action }) => action === "SCMP_ACT_ALLOW");
        for (const { args = [] } of told)
          for (const other of passing)
            assert.ok(
              args.some((one) => (other.args ?? []).some((two) => apart(one, two))),
              `${name}: ${JSON.stringify(args)} and ${JSON.stringify(other.args)}`,
            );
      }
    });

    it("lists nothing that reaches out of a sandbox", () => {
      const names = allowed.flatMap((rule) => rule.names);
      assert.deepEqual(
        FORBIDDEN.filter((name) => names.includes(name)),
        [],
      );
      assert.ok(names.includes("read") && names.length > 200, "and lists what programs need");
    });

    it("makes sockets of three families, for streams and datagrams, of plain protocols", () => {
      for (const { args = [], action } of rules("socket")) {
        assert.equal(action, "SCMP_ACT_ALLOW");
        const [family, type, protocol] = args;
        assert.deepEqual([family?.index, type?.index, protocol?.index, args.length], [0, 1, 2, 3]);
        assert.deepEqual([family?.op, type?.op, protocol?.op], ["SCMP_CMP_EQ", "SCMP_CMP_MASKED_EQ", "SCMP_CMP_EQ"]);
        // Unix, IPv4, IPv6; a stream or a datagram, whatever flags; TCP and UDP by their numbers.
        assert.ok([1, 2, 10].includes(family?.value ?? 0) && type?.value === 0xf);
        const [kind, number] = [type?.valueTwo ?? 0, protocol?.value ?? -1];
        const plain = family?.value === 1 ? [0] : kind === 1 ? [0, 6] : [0, 17];
        assert.ok([1, 2].includes(kind) && plain.includes(number), `${family?.value} ${kind} ${number}`);
      }
      assert.deepEqual(
        rules("socketpair").map(({ args }) => args),
        [[{ index: 0, value: 1, op: "SCMP_CMP_EQ" }]],
      );
    });

    it("makes no namespaces", () => {
      const [clone] = rules("clone");
      // Each CLONE_NEW* of linux/sched.h but that of time, which only unshare and clone3 make.
      const mask = 0x20000 | 0x2000000 | 0x4000000 | 0x8000000 | 0x10000000 | 0x20000000 | 0x40000000;
      assert.deepEqual(clone?.args, [{ index: 0, value: mask, valueTwo: 0, op: "SCMP_CMP_MASKED_EQ" }]);
      assert.deepEqual(
        [rules("clone").length, rules("clone3")],
        [1, [{ names: ["clone3"], action: "SCMP_ACT_ERRNO", errnoRet: 38 }]],
      );
    });

    it("takes harmless requests only of ioctl and prctl", () => {
      const values = (name: string, index: number): readonly number[] =>
        rules(name).map(({ args = [] }) => {
          assert.deepEqual([args.length, args[0]?.index, args[0]?.op], [1, index, "SCMP_CMP_EQ"]);
          return args[0]?.value ?? 0;
        });
      // TIOCSTI, TIOCLINUX, TIOCSCTTY, TIOCSETD; PR_SET_SECCOMP, PR_SET_MM, PR_CAP_AMBIENT, PR_SET_SECUREBITS.
      for (const request of [0x5412, 0x541c, 0x540e, 0x5423]) assert.ok(!values("ioctl", 1).includes(request));
      for (const option of [22, 35, 47, 28]) assert.ok(!values("prctl", 0).includes(option));
    });
  });

describe("the filter of an architecture that nobody has looked at", () => {
  it("is none", () => assert.equal(seccompFor("riscv64"), undefined));
});
