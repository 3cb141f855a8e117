import type { Row, SqlValue } from "./store.ts";

/**
 * Rows on their way to the writer thread, as one text: the structured clone of many small lists costs several times as
 * much as their JSON. What JSON has no form for stands in a list, which no value of a row is: bytes as `[base64]`, a
 * big integer as `[null, digits]`.
 */
export const packed = (writes: readonly Row[]): string => JSON.stringify(writes.map(plain));

/** Of the text that `packed` made. */
export function unpacked(text: string): Row[] {
  const writes = JSON.parse(text) as (string | number | null | [string] | [null, string])[][];
  for (const write of writes)
    for (let at = 1; at < write.length; at++) {
      const value = write[at];
      if (typeof value === "object" && value !== null) (write as unknown as SqlValue[])[at] = restored(value);
    }
  return writes as unknown as Row[];
}

/** Most rows have nothing but text and numbers, and stay as they are. */
function plain(write: Row): readonly unknown[] {
  for (const value of write)
    if (typeof value === "bigint" || (typeof value === "object" && value !== null)) return write.map(listed);
  return write;
}

function listed(value: SqlValue): unknown {
  if (typeof value === "bigint") return [null, String(value)];
  if (typeof value !== "object" || value === null) return value;
  return [Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64")];
}

function restored([bytes, digits]: [string] | [null, string]): SqlValue {
  return bytes === null ? BigInt(digits ?? "") : Buffer.from(bytes, "base64");
}
