import { limits } from "../../../protocol/limits.ts";
import { PATTERN_BYTES_MIN, Scrubber, step, type Automaton } from "../scrubber.ts";
import { isControl, type Frame } from "./websocket-frames.ts";

/**
 * Keeps credentials out of the frames of a server. Within a message they are replaced; where one is split over several
 * messages, what could be its beginning waits, and the connection ends when it turns out to be one.
 */
export class FrameScrubber {
  readonly #automata: readonly Automaton[];
  readonly #watches: readonly SplitWatch[];
  #scrubbers: readonly Scrubber[] = [];
  #waiting: Frame[] = [];
  #waitingBytes = 0;
  hits = 0;

  constructor(automata: readonly Automaton[]) {
    this.#automata = automata;
    this.#watches = automata.map((automaton) => new SplitWatch(automaton));
  }

  /** The frames that may go on now; undefined: a credential was split over messages. */
  push(frame: Frame): readonly Frame[] | undefined {
    if (this.#automata.length === 0) return [frame];
    if (isControl(frame)) return [{ ...frame, payload: this.#whole(frame.payload) }];
    if (this.#scrubbers.length === 0) {
      this.#scrubbers = this.#automata.map((automaton) => new Scrubber(automaton));
      for (const watch of this.#watches) watch.begin();
    }
    // It began before this message, where nothing can be replaced any more.
    if (this.#watches.map((watch) => watch.read(frame.payload)).includes(true)) return undefined;
    const clean = { ...frame, payload: this.#within(frame) };
    this.#waiting.push(clean);
    this.#waitingBytes += clean.payload.length;
    if (this.#open >= PATTERN_BYTES_MIN) return this.#waitingBytes > limits.web.frameBytesMax ? undefined : [];
    const ready = this.#waiting;
    [this.#waiting, this.#waitingBytes] = [[], 0];
    return ready;
  }

  get #open(): number {
    return Math.max(...this.#watches.map((watch) => watch.open));
  }

  #within(frame: Frame): Buffer {
    let payload = frame.payload;
    for (const scrubber of this.#scrubbers) payload = scrubber.push(payload);
    if (!frame.fin) return payload;
    let rest: Buffer = Buffer.alloc(0);
    for (const scrubber of this.#scrubbers) {
      rest = Buffer.concat([scrubber.push(rest), scrubber.end()]);
      this.hits += scrubber.hits;
    }
    this.#scrubbers = [];
    return rest.length > 0 ? Buffer.concat([payload, rest]) : payload;
  }

  #whole(payload: Buffer): Buffer {
    let clean = payload;
    for (const automaton of this.#automata) {
      const scrubber = new Scrubber(automaton);
      clean = Buffer.concat([scrubber.push(clean), scrubber.end()]);
      this.hits += scrubber.hits;
    }
    // A control frame has at most 125 bytes (RFC 6455 §5.5).
    return clean.length > 125 ? clean.subarray(0, 0) : clean;
  }
}

/** Follows what a server says over its messages: a credential in one of them is replaced there, one over several is split. */
class SplitWatch {
  readonly #automaton: Automaton;
  #state = 0;
  /** Bytes since the message began, and since the last credential ended. */
  #inMessage = 0;
  #sinceMatch = 0;

  constructor(automaton: Automaton) {
    this.#automaton = automaton;
  }

  begin(): void {
    this.#inMessage = 0;
  }

  /** True when a credential ends here that began before the message. */
  read(payload: Buffer): boolean {
    const { match } = this.#automaton;
    let split = false;
    for (const byte of payload) {
      this.#state = step(this.#automaton, this.#state, byte);
      this.#inMessage++;
      this.#sinceMatch++;
      const length = match[this.#state] ?? 0;
      if (length === 0) continue;
      split ||= length > this.#inMessage;
      this.#sinceMatch = 0;
    }
    return split;
  }

  /** Bytes of the longest match that is under way, without what was replaced. */
  get open(): number {
    return Math.min(this.#automaton.depth[this.#state] ?? 0, this.#sinceMatch);
  }
}
