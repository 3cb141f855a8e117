import { assert } from "../../lib/assert.ts";
import { canonicalJson, type Json } from "../../lib/json.ts";
import { Secret } from "../../lib/redact.ts";
import { limits } from "../../protocol/limits.ts";
import type { AuditEvent } from "./audit.ts";

const KIND = /^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$/;
const SUBJECT = /^(mesh|(agent|principal):[a-z0-9][a-z0-9:_.@-]*)$/;

/** The canonical text of an event's detail; a caller that breaks the form of an event is a fault of ours. */
export function canonicalDetail(event: AuditEvent): string {
  if (!kinds.has(event.kind)) {
    assert(event.kind.length <= 64 && KIND.test(event.kind), "an audit kind is dotted lower-case words");
    remember(kinds, event.kind);
  }
  if (!subjects.has(event.subject)) {
    const isSound = event.subject.length <= 128 && SUBJECT.test(event.subject);
    assert(isSound, "an audit subject is an agent, a principal or mesh");
    remember(subjects, event.subject);
  }
  const detail = canonicalText(event.kind, event.detail);
  const isShort = detail.length <= limits.audit.detailBytesMax / UTF8_PER_UNIT_MAX;
  assert(isShort || Buffer.byteLength(detail) <= limits.audit.detailBytesMax, "an audit detail is small");
  return detail;
}

/** Bytes of UTF-8 that one unit of UTF-16 can take. */
const UTF8_PER_UNIT_MAX = 3;

/** Those that were looked at: few, and asked for with every record. */
const kinds = new Set<string>();
const subjects = new Set<string>();
const SOUND_MAX = 4_096;

function remember(sound: Set<string>, name: string): void {
  if (sound.size < SOUND_MAX) sound.add(name);
}

/** The names of one set in order, each as it stands before its value. */
interface Form {
  /** As they come. */
  readonly keys: readonly string[];
  readonly names: readonly string[];
  readonly heads: readonly string[];
  /** Texts that stood there last, and each as it is written: most are those of the record before. */
  readonly texts: string[];
  readonly written: string[];
}

/** By the names as they come: the kinds of records are few, and to sort names costs more than to write them. */
const forms = new Map<string, Form>();
const FORMS_MAX = 256;
/** Of each kind the last: most records have the names of the one before. */
const last = new Map<string, Form>();
const FORM_CHARS_MAX = 1_024;

/** The same as `canonicalJson`, which it is tested against; each field is looked at once. */
function canonicalText(kind: string, detail: AuditEvent["detail"]): string {
  assertPlainObject(detail);
  const keys = Object.keys(detail);
  let form = last.get(kind);
  if (!form || !sameNames(form.keys, keys)) {
    form = formOf(keys);
    if (last.size < FORMS_MAX || last.has(kind)) last.set(kind, form);
  }
  const { names, heads } = form;
  let text = "";
  for (let at = 0; at < names.length; at++) {
    const value = detail[names[at] ?? ""];
    // Names that hold a separator can look like others: then, as for all that is deeper, the long way.
    if (value === undefined) return generalText(detail);
    text += heads[at];
    if (typeof value === "string") text += value === form.texts[at] ? form.written[at] : writtenIn(form, at, value);
    else if (typeof value === "boolean" || value === null) text += String(value);
    else if (typeof value === "number" && Number.isFinite(value)) text += String(value);
    else text += generalText(value);
  }
  return `{${text}}`;
}

function writtenIn(form: Form, at: number, value: string): string {
  const written = JSON.stringify(value);
  if (value.length <= TEXT_CHARS_KEPT_MAX) {
    form.texts[at] = value;
    form.written[at] = written;
  }
  return written;
}

const TEXT_CHARS_KEPT_MAX = 128;

/** Values that nobody can change, and that were looked at: what they are written as. */
const shared = new WeakMap<object, string>();

/** A part that many details have: it is looked at and written once, and nobody can change it any more. */
export function sharedDetail<T extends object>(value: T): T {
  shared.set(value, generalText(frozen(value) as Json));
  return value;
}

function frozen<T>(value: T): T {
  if (typeof value !== "object" || value === null) return value;
  for (const each of Object.values(value)) frozen(each);
  return Object.freeze(value);
}

function generalText(value: Json): string {
  const known = typeof value === "object" && value !== null ? shared.get(value) : undefined;
  if (known !== undefined) return known;
  assertPlain(value, 1);
  return canonicalJson(value);
}

function formOf(keys: readonly string[]): Form {
  const key = keys.join("\n");
  const known = forms.get(key);
  if (known?.names.length === keys.length) return known;
  const names = keys.toSorted();
  const heads = names.map((name, at) => `${at === 0 ? "" : ","}${JSON.stringify(name)}:`);
  const form = { keys, names, heads, texts: names.map(() => ""), written: names.map(() => '""') };
  if (forms.size < FORMS_MAX && key.length <= FORM_CHARS_MAX) forms.set(key, form);
  return form;
}

function sameNames(a: readonly string[], b: readonly string[]): boolean {
  if (a.length !== b.length) return false;
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false;
  return true;
}

/** Nothing but JSON: a Secret, or any other object that renders itself, is a mistake even when it renders safely. */
function assertPlain(value: unknown, depth: number): void {
  assert(depth <= limits.door.jsonDepthMax, "an audit detail is shallow");
  assert(!(value instanceof Secret), "an audit detail holds no secret");
  if (value === null || typeof value === "string" || typeof value === "boolean") return;
  if (typeof value === "number") return assert(Number.isFinite(value), "an audit detail holds finite numbers");
  assert(typeof value === "object", "an audit detail is JSON");
  if (Array.isArray(value)) return value.forEach((item) => assertPlain(item, depth + 1));
  assertPlainObject(value);
  for (const item of Object.values(value)) assertPlain(item, depth + 1);
}

function assertPlainObject(value: object): void {
  const prototype: unknown = Object.getPrototypeOf(value);
  assert(prototype === Object.prototype || prototype === null, "an audit detail holds plain objects");
}
