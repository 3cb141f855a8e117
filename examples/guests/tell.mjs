// Tells on standard output what a guest has done, one JSON line each.
import { writeSync } from "node:fs";

export const tell = (line) => writeSync(1, `${JSON.stringify({ kind: "guest", ...line })}\n`);
