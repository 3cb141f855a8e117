import { isUtf8 } from "node:buffer";
import type { Json } from "../../lib/json.ts";
import { eventData } from "./event-stream.ts";
import type { TextWatch } from "./scrubber.ts";
import type { Meter } from "./wire/format.ts";

/**
 * Reads the events of one stream for its meter and its watch. Most events of a stream are the one before with another
 * text: those are known by their bytes, and not read as JSON again, which costs more than all else of their way.
 */
export class EventReader {
  readonly #meter: Meter;
  readonly #watch: TextWatch | null;
  #form: EventForm | undefined;

  constructor(meter: Meter, watch: TextWatch | null) {
    this.#meter = meter;
    this.#watch = watch;
  }

  /** Reads whole events. True when a secret ends in their text: then no more of them was read. */
  read(events: Buffer): boolean {
    for (let at = 0; at < events.length;) {
      const after = this.#form?.endIn(events, at) ?? -1;
      if (after >= 0) {
        if (this.#again(events)) return true;
        at = after;
        continue;
      }
      const end = events.indexOf(BORDER, at);
      const to = end < 0 ? events.length : end + BORDER.length;
      if (this.#event(at === 0 && to === events.length ? events : events.subarray(at, to))) return true;
      at = to;
    }
    return false;
  }

  /** The same event as before with the text that its form has found. */
  #again(events: Buffer): boolean {
    const { channel, from, to } = this.#form as EventForm;
    this.#meter.again?.(to - from);
    return this.#watch?.readBytes(channel, events, from, to) ?? false;
  }

  #event(bytes: Buffer): boolean {
    this.#form = undefined;
    const all = eventData(bytes);
    for (const data of all) {
      if (data === "[DONE]") continue;
      let event: Json;
      try {
        event = JSON.parse(data) as Json;
      } catch {
        continue;
      }
      for (const { channel, text } of this.#meter.read(event)) if (this.#watch?.read(channel, text)) return true;
    }
    const { only } = this.#meter;
    if (all.length === 1 && only) this.#form = EventForm.of(bytes, only.channel, only.text);
    return false;
  }
}

const QUOTE = 0x22;
const ESCAPE = 0x5c;
const SPACE = 0x20;
const BORDER = Buffer.from("\n\n");
/** Up to here a text is looked for; a longer one is rare, and read as JSON. */
const TEXT_CHARS_MAX = 4_096;
/** Letters at random, so that the length of an event does not show that of its text. No meter reads them. */
const PADDING = Buffer.from('"obfuscation":"');

/**
 * An event but for the bytes of its text, which is one string of its JSON, and of its padding. Bytes that are the same
 * around a string without an escape are the same JSON with another string.
 */
class EventForm {
  readonly channel: number;
  /** What stands before, between and after the strings. */
  readonly #fixed: readonly Buffer[];
  /** Which of the strings is the text. */
  readonly #text: number;
  /** Where the text is that was found last. */
  from = 0;
  to = 0;

  private constructor(channel: number, fixed: readonly Buffer[], text: number) {
    this.channel = channel;
    this.#fixed = fixed;
    this.#text = text;
  }

  /** Undefined: it is not certain which string of it the text is. */
  static of(event: Buffer, channel: number, text: string): EventForm | undefined {
    if (text.length > TEXT_CHARS_MAX || event.includes(ESCAPE) || !event.subarray(-2).equals(BORDER)) return undefined;
    const said = Buffer.from(`"${text}"`);
    const place = onlyPlace(event, said);
    if (place < 0) return undefined;
    const slots = [{ from: place + 1, to: place + said.length - 1 }];
    const padding = onlyPlace(event, PADDING);
    if (padding >= 0) {
      const from = padding + PADDING.length;
      slots.push({ from, to: event.indexOf(QUOTE, from) });
    }
    const [first] = slots;
    slots.sort((a, b) => a.from - b.from);
    const fixed: Buffer[] = [];
    let at = 0;
    for (const { from, to } of slots) {
      fixed.push(Buffer.from(event.subarray(at, from)));
      at = to;
    }
    fixed.push(Buffer.from(event.subarray(at)));
    return new EventForm(
      channel,
      fixed,
      slots.findIndex((slot) => slot === first),
    );
  }

  /** The offset after the event that begins at `begin`, if it has this form; else -1. */
  endIn(events: Buffer, begin: number): number {
    let at = begin;
    for (let piece = 0; ; piece++) {
      const fixed = this.#fixed[piece];
      if (!fixed) return at;
      if (at + fixed.length > events.length || !isAt(events, at, fixed)) return -1;
      at += fixed.length;
      if (piece + 1 === this.#fixed.length) return at;
      const end = endOfString(events, at);
      if (end < 0) return -1;
      if (piece === this.#text) {
        this.from = at;
        this.to = end;
      }
      at = end;
    }
  }
}

function onlyPlace(event: Buffer, bytes: Buffer): number {
  const place = event.indexOf(bytes);
  return place >= 0 && event.indexOf(bytes, place + 1) < 0 ? place : -1;
}

function isAt(bytes: Buffer, at: number, wanted: Buffer): boolean {
  for (let n = 0; n < wanted.length; n++) if (bytes[at + n] !== wanted[n]) return false;
  return true;
}

/** Where the string ends that `from` stands in; -1: that is not to be seen without reading it as JSON. */
function endOfString(bytes: Buffer, from: number): number {
  let plain = true;
  for (let at = from; at < bytes.length; at++) {
    const byte = bytes[at] as number;
    if (byte === QUOTE) return plain || isUtf8(bytes.subarray(from, at)) ? at : -1;
    if (byte < SPACE || byte === ESCAPE) return -1;
    if (byte > 0x7f) plain = false;
  }
  return -1;
}
