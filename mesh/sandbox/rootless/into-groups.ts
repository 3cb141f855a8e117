/** Starts a program inside control groups: what was started elsewhere as another user cannot be moved into them afterwards. */
import { SYSTEM_PATH } from "../process.ts";

/** Moves itself into every group that is named before `--`, and becomes the program after it. */
const SCRIPT = `while [ "$1" != -- ]; do echo 0 >"$1/cgroup.procs" || exit 125; shift; done; shift; exec "$@"`;

/** The words of a command that runs `words` inside `folders`; 125 when it could not get there. */
export const intoGroups = (folders: readonly string[], words: readonly string[]): readonly [string, ...string[]] => [
  "/usr/bin/env",
  ...["-i", `PATH=${SYSTEM_PATH}`, "LC_ALL=C", "/bin/sh", "-c", SCRIPT, "sh", ...folders, "--", ...words],
];
