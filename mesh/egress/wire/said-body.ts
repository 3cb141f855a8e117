import type { JsonText } from "../../../lib/json.ts";

/** A body as an agent wrote it, and that was understood completely: no name twice, none that is unknown. */
export interface SaidBody extends JsonText<Buffer> {
  /** Its bytes are nobody else's: `withMembers` may write into them, and has. */
  changed?: boolean;
}

/**
 * The body with other values of some of its outermost names; one that it has not is put before the others. All else stays
 * as it was written: to write a long prompt anew costs more than all the rest of its way. What fits where the old value
 * was is written there, once: to copy a long prompt costs as much. `undefined`: the name stays as it is. The body must be
 * an object that has a name.
 */
export function withMembers(said: SaidBody, values: Readonly<Record<string, Written>>): Buffer {
  const { text, bytes, members } = said;
  const changes: { readonly from: number; readonly to: number; text: string }[] = [];
  let added = "";
  for (const name in values) {
    const value = values[name];
    if (value === undefined) continue;
    const span = members.find((member) => member.name === name);
    const written = typeof value === "number" ? String(value) : JSON.stringify(value);
    if (span) changes.push({ from: span.from, to: span.to, text: written });
    else added += `${JSON.stringify(name)}:${written},`;
  }
  const begin = text.indexOf("{") + 1;
  if (added !== "") changes.push({ from: begin, to: begin, text: added });
  // Where each character is its byte, nothing is decoded and encoded again.
  const ascii = text.length === bytes.length;
  // What a way before has sent may still be on its way.
  if (ascii && said.changed !== true && changes.every(fits)) {
    said.changed = true;
    for (const change of changes) inPlace(bytes, change);
    return bytes;
  }
  // The same call has the same bytes, whichever way is asked first.
  if (ascii && changes.every(fits))
    for (const change of changes) change.text = change.text.padEnd(change.to - change.from);
  changes.sort((a, b) => a.from - b.from);
  return ascii && said.changed !== true && bytes.length > SHORT_BYTES ? inBytes(bytes, changes) : inText(text, changes);
}

const fits = ({ from, to, text }: Changes[number]): boolean => text.length <= to - from && ASCII.test(text);

/** White space around a value says nothing (RFC 8259 §2). */
function inPlace(bytes: Buffer, { from, to, text }: Changes[number]): void {
  bytes.write(text, from, "latin1");
  bytes.fill(SPACE, from + text.length, to);
}

const SPACE = 0x20;
const ASCII = /^[\x20-\x7e]*$/;

type Written = string | number | Readonly<Record<string, boolean>> | undefined;
type Changes = readonly { readonly from: number; readonly to: number; readonly text: string }[];

/** Up to here a text is put together faster than bytes are. */
const SHORT_BYTES = 4_096;

function inText(text: string, changes: Changes): Buffer {
  let made = "";
  let at = 0;
  for (const change of changes) {
    made += text.slice(at, change.from) + change.text;
    at = change.to;
  }
  return Buffer.from(made + text.slice(at));
}

function inBytes(bytes: Buffer, changes: Changes): Buffer {
  const pieces: Buffer[] = [];
  let at = 0;
  for (const change of changes) {
    pieces.push(bytes.subarray(at, change.from), Buffer.from(change.text));
    at = change.to;
  }
  pieces.push(bytes.subarray(at));
  return Buffer.concat(pieces);
}
