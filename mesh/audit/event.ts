import { assert } from "../../lib/assert.ts";
import { canonicalJson, type Json } from "../../lib/json.ts";
import { Secret } from "../../lib/redact.ts";
import type { Utf8Text } from "../store/utf8-text.ts";
import { limits } from "../../protocol/limits.ts";
import type { AuditEvent } from "./audit.ts";

const KIND = /^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$/;
const [BRACE, BRACE_END] = [0x7b, 0x7d];
const SUBJECT = /^(mesh|(agent|principal):[a-z0-9][a-z0-9:_.@-]*)$/;

/** Writes ` KIND SUBJECT DETAIL`, the detail as canonical JSON; a caller that breaks the form of an event is a fault of ours. */
export function writeEvent(out: Utf8Text, { kind, subject, detail }: AuditEvent): void {
  out.put(kinds.get(kind) ?? soundKind(kind));
  out.put(subjects.get(subject) ?? soundSubject(subject));
  const begin = out.length;
  writeDetail(out, kind, detail);
  assert(out.length - begin <= limits.audit.detailBytesMax, "an audit detail is small");
}

/** Those that were looked at, as they are written: few, and asked for with every record. */
const kinds = new Map<string, Uint8Array>();
const subjects = new Map<string, Uint8Array>();
const SOUND_MAX = 4_096;

function soundKind(kind: string): Uint8Array {
  assert(kind.length <= 64 && KIND.test(kind), "an audit kind is dotted lower-case words");
  return remembered(kinds, kind, ` ${kind} `);
}

function soundSubject(subject: string): Uint8Array {
  const isSound = subject.length <= 128 && SUBJECT.test(subject);
  assert(isSound, "an audit subject is an agent, a principal or mesh");
  return remembered(subjects, subject, `${subject} `);
}

function remembered(sound: Map<string, Uint8Array>, name: string, written: string): Uint8Array {
  const bytes = Buffer.from(written);
  if (sound.size < SOUND_MAX) sound.set(name, bytes);
  return bytes;
}

/** The names of one set in order, each as it stands before its value. */
interface Form {
  /** As they come. */
  readonly keys: readonly string[];
  readonly names: readonly string[];
  /** They come in order. */
  readonly sorted: boolean;
  readonly heads: readonly Uint8Array[];
  /** Texts that stood there last, and each with its name as it is written, if it has come twice. */
  readonly texts: (string | undefined)[];
  readonly written: (Uint8Array | undefined)[];
}

/** By the names as they come: the kinds of records are few, and to sort names costs more than to write them. */
const forms = new Map<string, Form>();
const FORMS_MAX = 256;
/** Of each kind the last: most records have the names of the one before. */
const last = new Map<string, Form>();
const FORM_CHARS_MAX = 1_024;

/**
 * The same as `canonicalJson`, which it is tested against; each field is looked at once. A detail that names its fields in
 * order is written in one pass over them.
 */
function writeDetail(out: Utf8Text, kind: string, detail: AuditEvent["detail"]): void {
  assertPlainObject(detail);
  const begin = out.length;
  const known = last.get(kind);
  if (known?.sorted && writeSorted(out, known, detail)) return;
  out.cut(begin);
  const keys = Object.keys(detail);
  const form = known && sameNames(known.keys, keys) ? known : formOf(keys);
  if (form !== known && (known || last.size < FORMS_MAX)) last.set(kind, form);
  if (form.sorted && writeSorted(out, form, detail)) return;
  out.cut(begin);
  for (let at = 0; at < form.names.length; at++) writeField(out, form, at, detail[form.names[at] ?? ""]);
  end(out, form);
}

/** False: these are other names. */
function writeSorted(out: Utf8Text, form: Form, detail: AuditEvent["detail"]): boolean {
  let at = 0;
  // Its prototype has no names.
  for (const name in detail) {
    if (form.names[at] !== name) return false;
    writeField(out, form, at++, detail[name]);
  }
  if (at !== form.names.length) return false;
  end(out, form);
  return true;
}

function end(out: Utf8Text, form: Form): void {
  if (form.names.length === 0) out.byte(BRACE);
  out.byte(BRACE_END);
}

function writeField(out: Utf8Text, form: Form, at: number, value: Json | undefined): void {
  const head = form.heads[at];
  assert(head, "a form has all names");
  if (typeof value === "string") return writeText(out, form, at, head, value);
  out.put(head);
  if (typeof value === "number" && Number.isFinite(value)) out.number(value);
  else if (typeof value === "boolean" || value === null) out.text(String(value));
  else out.put(generalBytes(value));
}

/** Most texts are those of the record before, or as short-lived as an id. */
function writeText(out: Utf8Text, form: Form, at: number, head: Uint8Array, value: string): void {
  const again = value === form.texts[at];
  const written = again ? form.written[at] : undefined;
  if (written) return out.put(written);
  const begin = out.length;
  out.put(head);
  out.json(value);
  form.texts[at] = value.length <= TEXT_CHARS_KEPT_MAX ? value : undefined;
  form.written[at] = again ? Uint8Array.from(out.view(begin)) : undefined;
}

const TEXT_CHARS_KEPT_MAX = 128;

/** Values that nobody can change, and that were looked at: what they are written as. */
const shared = new WeakMap<object, Uint8Array>();

/** A part that many details have: it is looked at and written once, and nobody can change it any more. */
export function sharedDetail<T extends object>(value: T): T {
  shared.set(value, generalBytes(frozen(value) as Json));
  return value;
}

function frozen<T>(value: T): T {
  if (typeof value !== "object" || value === null) return value;
  for (const each of Object.values(value)) frozen(each);
  return Object.freeze(value);
}

function generalBytes(value: Json | undefined): Uint8Array {
  const known = typeof value === "object" && value !== null ? shared.get(value) : undefined;
  if (known) return known;
  assertPlain(value, 1);
  return Buffer.from(canonicalJson(value));
}

function formOf(keys: readonly string[]): Form {
  const key = keys.join("\n");
  const known = forms.get(key);
  // Names that hold a separator can look like others.
  if (known && sameNames(known.keys, keys)) return known;
  const names = keys.toSorted();
  const heads = names.map((name, at) => Buffer.from(`${at === 0 ? "{" : ","}${JSON.stringify(name)}:`));
  const none = names.map(() => undefined);
  const form = { keys, names, sorted: sameNames(keys, names), heads, texts: none, written: [...none] };
  if (forms.size < FORMS_MAX && key.length <= FORM_CHARS_MAX) forms.set(key, form);
  return form;
}

function sameNames(a: readonly string[], b: readonly string[]): boolean {
  if (a.length !== b.length) return false;
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false;
  return true;
}

/** Nothing but JSON: a Secret, or any other object that renders itself, is a mistake even when it renders safely. */
function assertPlain(value: unknown, depth: number): asserts value is Json {
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
