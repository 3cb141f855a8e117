/** What an ordinary user's fence is made of besides: rows of the table in `fence-mutations.ts`. */
import type { Edit, Mutation } from "./fence-mutations.ts";

const sandbox = (file: string, from: string, to: string): Edit => ({ file: `mesh/sandbox/${file}`, from, to });
const inside = { file: "test/contract/sandbox-rootless.test.ts", name: "keep the contract of every backend" };
const outside = (name: string) => ({ file: "test/contract/sandbox-rootless-mesh.test.ts", name });

export const rootless: readonly Mutation[] = [
  {
    element: "rootless: /data ends with its image",
    edits: [sandbox("volume.ts", "  await handle.truncate(bytes);", "  await handle.truncate(bytes * 4);")],
    caught: inside,
  },
  {
    element: "rootless: /data without its server",
    edits: [sandbox("watch.ts", "        watched.lookAtCompanion();\n", "")],
    caught: inside,
  },
  {
    element: "rootless: the server of /data bounded",
    edits: [
      sandbox(
        "rootless/data-server.ts",
        '  await write("memory", two ? "memory.max" : "memory.limit_in_bytes", memory);\n',
        "",
      ),
      sandbox(
        "rootless/data-server.ts",
        '  await write("memory", two ? "memory.swap.max" : "memory.memsw.limit_in_bytes", two ? "0" : memory);\n',
        "",
      ),
      sandbox("rootless/data-server.ts", "(await own.faultOf(pid, dataServerMemoryBytes, dataServerTasksMax)) ?? ", ""),
    ],
    caught: inside,
  },
  {
    element: "rootless: what the server of /data may do",
    edits: [
      sandbox("rootless/data-server.ts", '[...(await fenceOf(image, "+sys_admin")), ...serve]', "serve"),
      sandbox("rootless/data-server.ts", " ?? (await faultOf(pid))", ""),
    ],
    caught: inside,
  },
  {
    element: "rootless: a server that has ended before its volume is free",
    edits: [sandbox("dismantle.ts", ", ...((await server?.standing()) ?? [])];", "];")],
    caught: inside,
  },
  {
    element: "rootless: the path of the image",
    edits: [sandbox("rootless/data-server.ts", "fsname=${sourceOf(image)}", "fsname=${image}")],
    caught: inside,
  },
  {
    element: "rootless: an operator's command within the limits",
    edits: [sandbox("runtime.ts", "groups === null ? [this.file", "groups !== undefined ? [this.file")],
    caught: inside,
  },
  {
    element: "rootless: ids of its own namespace",
    edits: [sandbox("places.ts", "namespace?.hostIdFirst ?? limits", "limits")],
    caught: inside,
  },
  {
    element: "rootless: no start without a group",
    edits: [
      sandbox(
        "rootless/requirements.ts",
        "  if (lacking.length === 0) return given",
        "  if (lacking.length < 99) return given",
      ),
    ],
    caught: outside("are refused when the operator takes one group away"),
  },
  {
    element: "rootless: an end with the process that waits outside",
    edits: [
      sandbox(
        "rootless/enter.pl",
        "  syscall($prctl, $PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 or POSIX::_exit(1);\n",
        "",
      ),
    ],
    caught: outside("leave nothing when the process that waits outside is killed"),
  },
  {
    element: "rootless: an end with the first process",
    edits: [
      sandbox(
        "rootless/enter.pl",
        "$CLONE_NEWUSER | $CLONE_NEWNS | $CLONE_NEWPID) ==",
        "$CLONE_NEWUSER | $CLONE_NEWNS) ==",
      ),
    ],
    caught: outside("leave nothing when the first process of the namespace is killed"),
  },
  {
    element: "rootless: groups of a dead mesh",
    edits: [
      sandbox(
        "rootless/enter.pl",
        "for (my $tries = $LEFT_SECONDS * 20; !rmdir $old; $tries--)",
        "for (my $tries; 0;)",
      ),
    ],
    caught: outside("leave nothing when the process that waits outside is killed"),
  },
  {
    element: "rootless: one mesh a user",
    edits: [sandbox("rootless/enter.pl", "flock $lock, $LOCK_EX | $LOCK_NB or refuse(", "1 or refuse(")],
    caught: outside("belong to one mesh of his at a time"),
  },
  {
    element: "rootless: no process of others in his group",
    edits: [
      {
        file: "scripts/allow-rootless.sh",
        from: '}" = "$uid $uid $uid $uid" ] || not_his',
        to: '}" = "$uid $uid $uid $uid" ] || :',
      },
    ],
    caught: outside("share a group with no process that is not his"),
  },
  {
    element: "rootless: signals pass",
    edits: [sandbox("rootless/enter.pl", "$SIG{$name} = sub { kill $name => $pid }", "$SIG{$name} = sub { }")],
    caught: outside("end in order: signals"),
  },
];
