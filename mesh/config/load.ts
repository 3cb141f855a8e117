import { realpathSync } from "node:fs";
import { dirname } from "node:path";
import { limits } from "../../protocol/limits.ts";
import type { Fleet } from "./fleet.ts";
import { parseFleet } from "./parse.ts";
import { readRegular } from "./read-file.ts";

/** A fleet file that cannot be used; `message` has one line a fault: `FILE:LINE:COL: what` and `  fix: how`. */
export class FleetFileError extends Error {
  override readonly name = "FleetFileError";
}

export function loadFleet(file: string): Fleet {
  const text = readRegular(file, limits.fleet.fileBytesMax);
  if (!text.ok) {
    if (text.error === "too large") {
      const what = `${file}:1:1: larger than ${limits.fleet.fileBytesMax} bytes`;
      throw new FleetFileError(`${what}\n  fix: split the fleet`);
    }
    const fix = "make one with `cordon init`, or name it with `--fleet FILE`";
    throw new FleetFileError(`cannot read the fleet file \`${file}\`: ${text.error}\n  fix: ${fix}`);
  }
  const fleet = parseFleet(text.value.toString("utf8"), dirname(realpathSync(file)));
  if (fleet.ok) return fleet.value;
  throw new FleetFileError(
    fleet.error.map((f) => `${file}:${f.line}:${f.column}: ${f.message}\n  fix: ${f.fix}`).join("\n"),
  );
}
