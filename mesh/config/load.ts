import { readFileSync, realpathSync } from "node:fs";
import { dirname } from "node:path";
import { limits } from "../../protocol/limits.ts";
import type { Fleet } from "./fleet.ts";
import { parseFleet } from "./parse.ts";

/** A fleet file that cannot be used; `message` has one line a fault: `FILE:LINE:COL: what` and `  fix: how`. */
export class FleetFileError extends Error {
  override readonly name = "FleetFileError";
}

export function loadFleet(file: string): Fleet {
  let text: Buffer;
  let path: string;
  try {
    path = realpathSync(file);
    text = readFileSync(path);
  } catch (cause) {
    throw new FleetFileError(
      `cannot read the fleet file \`${file}\`: ${(cause as Error).message}\n  fix: make one with \`cordon init\`, or name it with \`--fleet FILE\``,
      { cause },
    );
  }
  if (text.length > limits.fleet.fileBytesMax) {
    throw new FleetFileError(`${file}:1:1: larger than ${limits.fleet.fileBytesMax} bytes\n  fix: split the fleet`);
  }
  const fleet = parseFleet(text.toString("utf8"), dirname(path));
  if (fleet.ok) return fleet.value;
  throw new FleetFileError(
    fleet.error.map((f) => `${file}:${f.line}:${f.column}: ${f.message}\n  fix: ${f.fix}`).join("\n"),
  );
}
