import { assert } from "../../lib/assert.ts";
import { canonicalJson } from "../../lib/json.ts";
import { Secret } from "../../lib/redact.ts";
import { limits } from "../../protocol/limits.ts";
import type { AuditEvent } from "./audit.ts";

const KIND = /^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$/;
const SUBJECT = /^(mesh|(agent|principal):[a-z0-9][a-z0-9:_.@-]*)$/;

/** The canonical text of an event's detail; a caller that breaks the form of an event is a fault of ours. */
export function canonicalDetail(event: AuditEvent): string {
  assert(event.kind.length <= 64 && KIND.test(event.kind), "an audit kind is dotted lower-case words");
  assert(
    event.subject.length <= 128 && SUBJECT.test(event.subject),
    "an audit subject is an agent, a principal or mesh",
  );
  assertPlain(event.detail, 0);
  const detail = canonicalJson(event.detail);
  assert(Buffer.byteLength(detail) <= limits.audit.detailBytesMax, "an audit detail is small");
  return detail;
}

/** Nothing but JSON: a Secret, or any other object that renders itself, is a mistake even when it renders safely. */
function assertPlain(value: unknown, depth: number): void {
  assert(depth <= limits.door.jsonDepthMax, "an audit detail is shallow");
  assert(!(value instanceof Secret), "an audit detail holds no secret");
  if (value === null || typeof value === "string" || typeof value === "boolean") return;
  if (typeof value === "number") return assert(Number.isFinite(value), "an audit detail holds finite numbers");
  assert(typeof value === "object", "an audit detail is JSON");
  if (Array.isArray(value)) return value.forEach((item) => assertPlain(item, depth + 1));
  const prototype: unknown = Object.getPrototypeOf(value);
  assert(prototype === Object.prototype || prototype === null, "an audit detail holds plain objects");
  for (const item of Object.values(value)) assertPlain(item, depth + 1);
}
