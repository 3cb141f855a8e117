// Runs inside the probe sandbox and tries to get out. Prints one JSON line per attempt: { attempt, stopped, by }.
// What the mesh expects stands in probe-attempts.ts; a line that is missing there or here counts as a broken fence.
import { tryFiles } from "./files.js";
import { tryNetwork } from "./network.js";
import { tryRawCalls } from "./raw.js";

const report = (attempt, stopped, by) => console.log(JSON.stringify({ attempt, stopped, by: String(by) }));
const target = JSON.parse(process.env.CORDON_PROBE ?? "{}");

await Promise.all([tryNetwork(report, target), tryFiles(report), tryRawCalls(report)]);
