// Runs inside the probe sandbox and tries to get out. Prints one JSON line per attempt: { attempt, stopped, by }.
// What the mesh expects stands in probe-attempts.ts; a line that is missing there or here counts as a broken fence.
import { tryFiles } from "./files.js";
import { tryNetwork } from "./network.js";
import { tryRawCalls } from "./raw.js";

const target = JSON.parse(process.env.CORDON_PROBE ?? "{}");
const leftOut = new Set(target.leftOut);
const report = (attempt, stopped, by) => {
  if (!leftOut.has(attempt)) console.log(JSON.stringify({ attempt, stopped, by: String(by) }));
};

await Promise.all([tryNetwork(report, target), tryFiles(report, target), tryRawCalls(report, leftOut)]);
