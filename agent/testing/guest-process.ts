/** A process of its own for init.test.ts: makes itself heir of orphans, as PID 1 is, and runs its arguments as the guest. */
import { guestEnvironment, ownEnvironment } from "../init/environment.ts";
import { runGuest } from "../init/guest.ts";
import { jsonLog } from "../init/log.ts";
import { systemClock } from "../../lib/clock.ts";

const PR_SET_CHILD_SUBREAPER = 36;
const { dlopen } = process.getBuiltinModule("node:ffi");
const { prctl } = dlopen(null, { prctl: { return: "i32", arguments: ["i32", "u64", "u64", "u64", "u64"] } }).functions;
if (prctl(PR_SET_CHILD_SUBREAPER, 1n, 0n, 0n, 0n) !== 0) throw new Error("cannot become a subreaper");

const log = jsonLog(systemClock, (line) => process.stdout.write(line));
process.exit(await runGuest({ command: process.argv.slice(2), environment: guestEnvironment(ownEnvironment()), log }));
