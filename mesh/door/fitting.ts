import { limits } from "../../protocol/limits.ts";

/**
 * As many of `rows` as an answer may hold, from the first on. Each of them is bounded and so is their number, and still
 * all of them together can be many megabytes: as JSON one character of a text can take six bytes.
 */
export function fitting<Row>(rows: readonly Row[]): Row[] {
  let left: number = limits.tool.resultBytesMax;
  const beyond = rows.findIndex((row) => (left -= Buffer.byteLength(JSON.stringify(row))) < 0);
  return beyond < 0 ? [...rows] : rows.slice(0, Math.max(1, beyond));
}
