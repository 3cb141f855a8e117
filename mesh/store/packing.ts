import { assert } from "../../lib/assert.ts";
import { Utf8Text } from "./utf8-text.ts";
import { limits } from "../../protocol/limits.ts";
import { statements } from "./statements.ts";
import type { Row, SqlValue } from "./store.ts";

/**
 * Rows on their way to the writer thread: all their text in one string, all their bytes in one array, and what stands where
 * in one list of numbers. The structured clone of many small lists costs many times as much, and so does the JSON of text
 * that holds JSON.
 */
export interface PackedRows {
  /** Of each row: its statement, how many values, then of each value a code and, of a number, the number. */
  readonly codes: Float64Array<ArrayBuffer>;
  readonly text: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** A value that is text is its length. */
const NULL = -1;
const NUMBER = -2;
/** The code of bytes and of a big integer comes before a length. */
const BYTES = -3;
const BIG = -4;

const names = Object.keys(statements) as Row[0][];
const numbers = new Map(names.map((name, number) => [name, number]));

/** From row `from` on, until the text is long; `to` is the first row that is left. */
export function packed(rows: readonly Row[], from = 0): PackedRows & { readonly to: number } {
  const codes: number[] = [];
  let text = "";
  bytes.cut(0);
  let to = from;
  for (; to < rows.length && text.length + bytes.length < limits.store.messageCharsMax; to++) {
    const row = rows[to] as Row;
    codes.push(numbers.get(row[0]) ?? NULL, row.length - 1);
    for (let at = 1; at < row.length; at++) {
      const value = row[at] as SqlValue;
      if (typeof value === "string") {
        codes.push(value.length);
        text += value;
      } else if (typeof value === "number") codes.push(NUMBER, value);
      else if (value === null) codes.push(NULL);
      else if (typeof value === "bigint") {
        const written = String(value);
        codes.push(BIG, written.length);
        text += written;
      } else {
        codes.push(BYTES, value.length);
        bytes.put(value);
      }
    }
  }
  // A copy of its own size: the clone of a part is one of the whole.
  return { codes: new Float64Array(codes), text, bytes: Uint8Array.from(bytes.view()), to };
}

const bytes = new Utf8Text();

/** Of what `packed` made. */
export function unpacked({ codes, text, bytes }: PackedRows): Row[] {
  const rows: Row[] = [];
  let at = 0;
  let from = 0;
  let bytesFrom = 0;
  const next = (): number => codes[at++] ?? NaN;
  const taken = (length: number): string => text.slice(from, (from += length));
  const value = (code: number): SqlValue => {
    if (code >= 0) return taken(code);
    if (code === NUMBER) return next();
    if (code === BYTES) return bytes.subarray(bytesFrom, (bytesFrom += next()));
    if (code === BIG) return BigInt(taken(next()));
    assert(code === NULL, "a packed value has a known form");
    return null;
  };
  while (at < codes.length) {
    const name = names[next()];
    assert(name, "a packed row has a statement");
    const row: [Row[0], ...SqlValue[]] = [name];
    for (let left = next(); left > 0; left--) row.push(value(next()));
    rows.push(row);
  }
  assert(from === text.length && bytesFrom === bytes.length, "packed rows are whole");
  return rows;
}
