/** A mesh that is about to be killed: starts `one` or two sandboxes of one installation until then. Prints a line before the first, and its id after. */
import { openHost, specOf } from "./sandbox-fixture.ts";

const [installation, stateDir, count = "two"] = process.argv.slice(2);
const host = await openHost({ ...(stateDir && { stateDir }), ...(installation && { installation }) });
console.log("starting");
const first = specOf("setInterval(() => {}, 1e6)", { volume: "victim" });
const sandbox = await host.backend.start(first);
sandbox.output.resume();
console.log(first.id);
if (count === "one") setInterval(() => {}, 1e6);
else await host.backend.start(specOf("setInterval(() => {}, 1e6)", { volume: "victim-2" }));
