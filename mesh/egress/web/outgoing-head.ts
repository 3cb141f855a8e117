import { assert } from "../../../lib/assert.ts";
import { fieldLine, flat } from "../../http/fields.ts";
import { originOf } from "../../policy/reach.ts";
import { requestLine } from "../http1/pool.ts";
import type { Field, WebHead } from "./head.ts";
import type { Outgoing } from "./injection.ts";
import type { SaidLines } from "./said.ts";

/** RFC 9110 §8.6: what means something with a body says that there is none. */
const MEANS_BODY: readonly string[] = ["POST", "PUT", "PATCH"];
/** Where an answer is watched it must come whole and plain. */
const UNWATCHABLE: readonly string[] = ["accept-encoding", "range", "if-range"];
const PLAINLY: Field = ["accept-encoding", "identity"];

/**
 * The head that goes upstream. The host is that of the connection, and the body's length is said by nobody but the
 * gateway: null for one that comes in chunks. Throws for what HTTP/1.1 cannot carry.
 */
export function writeHead(head: WebHead, outgoing: Outgoing, watched: boolean, length: number | null): string {
  const { method } = head.action;
  const lines = head.said ? knownLines(head, outgoing, watched) : linesOf(head, fieldsOf(head, outgoing, watched));
  const first = startOf(head, outgoing.target) + lines;
  if (length === null) return `${first}transfer-encoding: chunked\r\n\r\n`;
  return length > 0 || MEANS_BODY.includes(method) ? `${first}content-length: ${length}\r\n\r\n` : `${first}\r\n`;
}

/** Its first line. */
function startOf(head: WebHead, target: string): string {
  const { method } = head.action;
  const known = head.said?.request;
  if (known?.head !== head || known.target !== target) return requestLine(method, target);
  return (known.start ??= requestLine(method, target));
}

/** What stands before the fields that come from the client. */
function hostLines({ action }: WebHead): string {
  const host = originOf(action).slice(`${action.scheme}://`.length);
  return `${fieldLine("host", host)}connection: keep-alive\r\n`;
}

/** The fields that go upstream. */
export function fieldsOf(head: WebHead, { fields }: Outgoing, watched: boolean): readonly Field[] {
  if (!watched && !head.upgrade) return fields;
  const dropped = [...(watched ? UNWATCHABLE : []), ...(head.upgrade ? ["sec-websocket-extensions"] : [])];
  const kept = fields.filter(([name]) => !dropped.includes(name));
  return watched ? [...kept, PLAINLY] : kept;
}

/** Bytes that go out of target, fields and body. */
export function bytesOf({ said }: WebHead, { target, fields, body, put }: Outgoing): number {
  const known = said?.head?.fields === fields ? said.head : undefined;
  const bytes = known?.fieldBytes ?? fieldBytes(fields);
  if (known) known.fieldBytes = bytes;
  return bytes + target.length + (body?.length ?? 0) + (put ? put.secret.length - put.placeholder.length : 0);
}

function fieldBytes(fields: readonly Field[]): number {
  let bytes = 0;
  for (const [name, value] of fields) bytes += name.length + value.length + 4;
  return bytes;
}

function linesOf(head: WebHead, fields: readonly Field[]): string {
  return hostLines(head) + afterHost(fields);
}

function afterHost(fields: readonly Field[]): string {
  let lines = "";
  for (const [name, value] of fields) lines += fieldLine(name, value);
  return lines;
}

/** As they were written for the request before. */
function knownLines(head: WebHead, outgoing: Outgoing, watched: boolean): string {
  const { put, fields } = outgoing;
  // Changed by an injection that is not kept.
  if (fields !== head.fields || !head.said) return linesOf(head, fieldsOf(head, outgoing, watched));
  let { lines } = head.said;
  if (lines?.to !== head.to || lines.watched !== watched || lines.put !== (put !== undefined))
    lines = head.said.lines = cut(head, fieldsOf(head, outgoing, watched), put, watched);
  return put ? lines.before + fieldText(put.secret) + lines.after : lines.before;
}

/** What stands before the credential, or all where there is none, and what stands behind it. */
function cut(head: WebHead, fields: readonly Field[], put: Outgoing["put"], watched: boolean): SaidLines {
  const { to } = head;
  if (!put) return { to, watched, put: false, before: flat(linesOf(head, fields)), after: "" };
  const at = fields.findIndex(([name, value]) => name === put.name && value.includes(put.placeholder));
  const field = fields[at];
  assert(field, "the field that a credential is bound to goes upstream");
  const line = fieldLine(...field);
  const from = line.indexOf(put.placeholder, put.name.length);
  const before = linesOf(head, fields.slice(0, at)) + line.slice(0, from);
  const after = line.slice(from + put.placeholder.length) + afterHost(fields.slice(at + 1));
  return { to, watched, put: true, before: flat(before), after: flat(after) };
}

/** Throws for what no field may hold, as `fieldLine` does. */
function fieldText(secret: string): string {
  if (!/^[\t\x20-\x7e\x80-\xff]*$/.test(secret)) throw new Error("the credential holds what no field may hold");
  return secret;
}
