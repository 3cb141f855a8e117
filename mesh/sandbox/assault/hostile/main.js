// Runs inside the container that is put to the test and tries to get out of it, harmlessly: what could be written is
// opened for writing and closed again, what could be reached is what the suite has put there itself.
// Prints one JSON line per attempt: { cordon: NONCE, id, stopped, by }. The ids stand in ../catalogue.ts.
import { existsSync, readFileSync } from "node:fs";
import { tryFloods } from "./floods.js";
import { tryHost } from "./host.js";
import { tryIdentity } from "./identity.js";
import { tryKernel } from "./kernel.js";
import { tryNetwork } from "./network.js";
import { tryProcesses } from "./processes.js";
import { reporter } from "./report.js";
import { runnable } from "./runnable.js";
import { look } from "./walk.js";

const here = new URL(".", import.meta.url).pathname;
const target = JSON.parse(readFileSync(`${here}/target.json`, "utf8"));
const report = reporter(target.nonce);

report("control-started", () => ({ stopped: false, by: `node ${process.version} as uid ${process.getuid()}` }));
if (target.door) {
  report("control-door", () => ({ stopped: !existsSync(target.door), by: "the door's socket is there" }));
}
const run = runnable(here);
const seen = look(target.canary.name);
tryKernel(report, target, run);
tryIdentity(report);
tryProcesses(report, target);
tryHost(report, target, seen);
await tryNetwork(report, target, seen);
await tryFloods(report, target);
report("control-finished", () => ({ stopped: false, by: "all attempts were made" }));
// Handles that an attempt has left open must not keep it running.
process.exit(0);
