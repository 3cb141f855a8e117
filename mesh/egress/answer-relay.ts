import type { Dispatcher } from "undici";
import type { Json } from "../../lib/json.ts";
import { limits } from "../../protocol/limits.ts";
import { refusal, type Refusal } from "../../protocol/refusal.ts";
import type { Mortal } from "../http/deadlines.ts";
import type { Injection } from "./credentials.ts";
import { EventReader } from "./event-reader.ts";
import { EventSplitter } from "./event-stream.ts";
import { noCredential, rejectedByProvider, unreachableProvider, wasNotSent, wasRevoked } from "./failures.ts";
import type { Provider } from "./providers.ts";
import { isClean, PATTERN_BYTES_MIN, Scrubber, TextWatch, type Automaton } from "./scrubber.ts";
import type { Meter } from "./wire/format.ts";

/** Where an answer goes: the agent's side of the door. `write` returns false when it must be waited for `drained`. */
export interface AnswerSink {
  head(status: number, headers: Readonly<Record<string, string>>): void;
  /** `bytes` are in memory that is read into again: who needs them after the call copies them. */
  write(bytes: Buffer): boolean;
  drained(resume: () => void): void;
  /** A whole answer at once, where the sink has a shorter way for it than `head` and `write`. */
  whole?(status: number, headers: Readonly<Record<string, string>>, body: Buffer): void;
}

/**
 * How an exchange ended. `billed` says what the provider can have charged: `nothing`, what the meter `seen`,
 * or `unknown` (then the reservation stands). After `answered` and `cut` the sink has had everything;
 * after `failed` with nothing written, the refusal is still to be sent.
 */
export type Outcome =
  | {
      readonly kind: "answered" | "cut" | "aborted";
      readonly billed: "seen" | "unknown";
      readonly scrubbed: number;
      readonly reason: string;
    }
  | { readonly kind: "passed_error"; readonly status: number; readonly billed: "nothing"; readonly scrubbed: number }
  | {
      readonly kind: "failed";
      readonly refusal: Refusal;
      readonly billed: "nothing" | "seen" | "unknown";
      /** It says nothing of the provider. */ readonly ours?: true;
    };

interface Exchange {
  readonly provider: Provider;
  readonly meter: Meter;
  readonly stream: boolean;
  readonly outputTokensMax: number;
  readonly injection: Injection | null;
}

type Headers = Record<string, string | string[] | undefined>;

/** Of each credential the last head that was passed on, looked through for it: one that was read once (`KnownAnswer`) is the same object. */
const passed = new WeakMap<Automaton, { headers: Headers; wanted: string; told: Readonly<Record<string, string>> }>();
const PRINTABLE = /^[\x20-\x7e]*$/;
const ERROR_BODY_BYTES_MAX = 64 * 1024;
const mediaType = (header: string): string => {
  const end = header.indexOf(";");
  return (end < 0 ? header : header.slice(0, end)).trim().toLowerCase();
};
const NO_HEADERS: Readonly<Record<string, string>> = {};
const HEADERS_PASSED = ["request-id", "x-request-id", "retry-after", "x-cordon-rehearsal"];

/**
 * Carries one answer from a provider to an agent: meters it, cuts it when it passes its reservation, keeps the
 * credential out of it. One path for streams and plain answers: a plain answer is a stream of one event.
 */
export class AnswerRelay implements Dispatcher.DispatchHandler, Mortal {
  due: Mortal["due"] = undefined;
  readonly #finish: (outcome: Outcome) => void;
  readonly #exchange: Exchange;
  readonly #sink: AnswerSink;
  readonly #events: EventSplitter | undefined;
  readonly #scrubber: Scrubber | null;
  readonly #watch: TextWatch | null;
  readonly #reader: EventReader | undefined;
  #controller: Dispatcher.DispatchController | undefined;
  #status = 0;
  #headers = NO_HEADERS;
  /** Of a plain answer: most come in one piece. */
  #collected: Buffer[] | undefined;
  #bytes = 0;
  #hitsInHead = 0;
  /** Whole events that wait because their text may be the beginning of a secret. */
  #suspect: Buffer[] | undefined;
  #ended = false;

  /** `finish` is told once how it ended. */
  constructor(exchange: Exchange, sink: AnswerSink, finish: (outcome: Outcome) => void) {
    this.#finish = finish;
    this.#exchange = exchange;
    this.#sink = sink;
    this.#scrubber = exchange.injection && new Scrubber(exchange.injection.automaton);
    this.#watch = exchange.injection && new TextWatch(exchange.injection.automaton);
    if (!exchange.stream) return;
    this.#events = new EventSplitter(limits.model.eventBytesMax);
    this.#reader = new EventReader(exchange.meter, this.#watch);
  }

  /** From outside: the agent has gone, or the time is up. */
  abort(reason: "client_gone" | "timeout"): void {
    if (this.#ended) return;
    if (reason === "timeout" && this.#streaming) return this.#cut("timeout");
    if (reason === "timeout" && this.#inPieces) return this.#cut("timeout", "unknown");
    if (reason === "timeout") return this.#fail("took longer than the call may", "unknown");
    // Of a plain answer nothing was seen, though the provider may have written all of it.
    this.#end({ kind: "aborted", billed: this.#streaming ? "seen" : "unknown", scrubbed: this.#hits, reason });
  }

  /** The request could not be written. */
  unsent(cause: Error): void {
    this.#end({ kind: "failed", refusal: unreachableProvider(this.#exchange.provider, cause), billed: "nothing" });
  }

  /** The agent has gone. */
  handleEvent(): void {
    this.abort("client_gone");
  }

  /** Its time is up. */
  expire(): void {
    this.abort("timeout");
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#ended) controller.abort(new Error("ended before it began"));
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: Headers): void {
    if (this.#ended) return;
    this.#status = status;
    const wanted = this.#exchange.stream && status === 200 ? "text/event-stream" : "application/json";
    const automaton = this.#exchange.injection?.automaton;
    const before = automaton && passed.get(automaton);
    if (status === 200 && before?.headers === headers && before.wanted === wanted) this.#headers = before.told;
    else {
      if (!this.#mayPass(status, headers, wanted)) return;
      // What was found in it is counted each time.
      if (status === 200 && automaton && this.#hitsInHead === 0)
        passed.set(automaton, { headers, wanted, told: this.#headers });
    }
    if (status === 200 && (this.#exchange.stream || this.#inPieces)) this.#sink.head(status, this.#headers);
  }

  /** Takes from a head what the agent is told of it. False: such an answer does not go on, and that has been told. */
  #mayPass(status: number, headers: Headers, wanted: string): boolean {
    // What is told of them in a refusal is read by the agent and the log.
    const said = headers["content-type"];
    const type = said === wanted ? wanted : mediaType(this.#scrubText(String(said ?? "")));
    const encoding = this.#scrubText(String(headers["content-encoding"] ?? "identity"));
    const told: Record<string, string> = {};
    for (const name of HEADERS_PASSED) {
      const value = headers[name];
      if (typeof value === "string") told[name] = this.#scrubText(value);
    }
    told["content-type"] = wanted;
    this.#headers = told;
    // A coding of the transfer (RFC 9112 §7) would hide a body from the scrubber as well.
    const coding = headers["transfer-encoding"];
    if (encoding !== "identity")
      this.#fail(`sent the encoding \`${encoding.slice(0, 40)}\`, which was not asked for`, "unknown");
    else if (coding !== undefined && !/^[\t ]*(?:chunked[\t ]*)?$/i.test(String(coding)))
      this.#fail("answered in a coding of the transfer, which was not asked for", "unknown");
    else if (status >= 300 && status < 400) this.#fail(`answered with a redirect (${status})`, "nothing");
    else if (status < 400 && (status !== 200 || type !== wanted))
      this.#fail(`answered ${status} with type \`${type.slice(0, 40)}\``, "unknown");
    return !this.#ended;
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#ended) return;
    this.#bytes += chunk.length;
    if (this.#inPieces) return this.#passPiece(controller, chunk);
    if (!this.#streaming) {
      const max = this.#status >= 400 ? ERROR_BODY_BYTES_MAX : limits.model.responseBytesMax;
      if (this.#bytes > max)
        return this.#fail(`sent more than ${max} bytes`, this.#status >= 400 ? "nothing" : "unknown");
      const piece = Buffer.from(chunk);
      if (this.#collected) this.#collected.push(piece);
      else this.#collected = [piece];
      return;
    }
    if (this.#bytes > limits.model.responseBytesMax) return this.#cut("answer_too_large");
    let events: Buffer;
    try {
      events = this.#events?.push(chunk) ?? chunk;
    } catch {
      return this.#cut("event_too_large");
    }
    const verdict = this.#meter(events);
    if (verdict === "over") return this.#cut("reservation_used_up");
    if (verdict === "secret") return this.#cut("credential_in_answer");
    if (verdict === "suspect") {
      (this.#suspect ??= []).push(Buffer.from(events));
      return;
    }
    if (!this.#suspect) return this.#pass(controller, events);
    this.#pass(controller, Buffer.concat([...this.#suspect, events]));
    this.#suspect = undefined;
  }

  onResponseEnd(controller: Dispatcher.DispatchController): void {
    if (this.#ended) return;
    if (this.#status >= 400) return this.#endWithError();
    if (this.#inPieces) return this.#endPieces();
    if (!this.#streaming) return this.#endPlain();
    // A stream that stops without its last event was broken off, however politely.
    if (!this.#exchange.meter.complete || this.#events?.rest().length !== 0) return this.#cut("upstream_incomplete");
    if (this.#suspect) this.#pass(controller, Buffer.concat(this.#suspect));
    else this.#exchange.meter.passed();
    this.#flush();
    this.#end({
      kind: "answered",
      billed: this.#exchange.meter.usage ? "seen" : "unknown",
      scrubbed: this.#hits,
      reason: "complete",
    });
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#ended) return;
    if (this.#streaming) return this.#cut("upstream_broken");
    if (this.#inPieces) return this.#cut("upstream_broken", "unknown");
    const { provider } = this.#exchange;
    if (wasRevoked(error))
      return this.#end({ kind: "failed", refusal: noCredential(provider.credential), billed: "nothing", ours: true });
    const billed = wasNotSent(error) ? "nothing" : "unknown";
    this.#end({ kind: "failed", refusal: unreachableProvider(provider, error), billed });
  }

  get #streaming(): boolean {
    return this.#exchange.stream && this.#status === 200;
  }

  /** One object, too large to be collected, passes as it comes. */
  get #inPieces(): boolean {
    return !this.#exchange.stream && this.#status === 200 && this.#exchange.meter.pieces !== undefined;
  }

  get #hits(): number {
    return this.#hitsInHead + (this.#scrubber?.hits ?? 0);
  }

  #passPiece(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#bytes > limits.model.drawnAnswerBytesMax) return this.#cut("answer_too_large", "unknown");
    this.#exchange.meter.pieces?.(chunk);
    this.#pass(controller, chunk);
  }

  #endPieces(): void {
    const { meter } = this.#exchange;
    if (!meter.complete) return this.#cut("upstream_incomplete", "unknown");
    this.#flush();
    const billed = meter.usage ? "seen" : "unknown";
    this.#end({ kind: "answered", billed, scrubbed: this.#hits, reason: "complete" });
  }

  #endWithError(): void {
    const { provider } = this.#exchange;
    if (this.#status === 401 || this.#status === 403) {
      return this.#end({ kind: "failed", refusal: rejectedByProvider(provider, this.#status), billed: "nothing" });
    }
    this.#tellWhole(this.#body());
    this.#end({ kind: "passed_error", status: this.#status, billed: "nothing", scrubbed: this.#hits });
  }

  /** Of a plain answer, whole. */
  #body(): Buffer {
    const pieces = this.#collected ?? [];
    return pieces.length === 1 && pieces[0] ? pieces[0] : Buffer.concat(pieces);
  }

  #endPlain(): void {
    const body = this.#body();
    let answer: Json;
    try {
      answer = JSON.parse(body.toString("utf8")) as Json;
    } catch {
      return this.#fail("sent an answer that is not JSON", "unknown");
    }
    const texts = this.#exchange.meter.read(answer);
    if (texts.some(({ channel, text }) => this.#watch?.read(channel, text)))
      return this.#fail("sent the credential back", "seen");
    this.#tellWhole(body);
    this.#end({
      kind: "answered",
      billed: this.#exchange.meter.usage ? "seen" : "unknown",
      scrubbed: this.#hits,
      reason: "complete",
    });
  }

  /** Reads whole events before they are passed on. */
  #meter(events: Buffer): "clean" | "suspect" | "secret" | "over" {
    if (this.#reader?.read(events)) return "secret";
    if (this.#exchange.meter.outputTokensSeen > this.#exchange.outputTokensMax) return "over";
    return (this.#watch?.open ?? 0) >= PATTERN_BYTES_MIN ? "suspect" : "clean";
  }

  #pass(controller: Dispatcher.DispatchController, bytes: Buffer): void {
    this.#exchange.meter.passed();
    const clean = this.#scrub(bytes);
    if (clean.length === 0 || this.#sink.write(clean)) return;
    controller.pause();
    this.#sink.drained(() => controller.resume());
  }

  #scrub(bytes: Buffer): Buffer {
    return this.#scrubber ? this.#scrubber.push(bytes) : bytes;
  }

  #scrubText(text: string): string {
    const automaton = this.#exchange.injection?.automaton;
    if (!automaton || (PRINTABLE.test(text) && isClean(automaton, text))) return text;
    const scrubber = new Scrubber(automaton);
    const clean = Buffer.concat([scrubber.push(Buffer.from(text, "latin1")), scrubber.end()]).toString("latin1");
    this.#hitsInHead += scrubber.hits;
    return clean.replace(/[^\x20-\x7e]/g, "?");
  }

  #tellWhole(body: Buffer): void {
    const clean = this.#scrub(body);
    const rest = this.#scrubber?.end();
    const whole = rest && rest.length > 0 ? Buffer.concat([clean, rest]) : clean;
    if (this.#sink.whole) return this.#sink.whole(this.#status, this.#headers, whole);
    this.#sink.head(this.#status, this.#headers);
    this.#sink.write(whole);
  }

  #flush(): void {
    const rest = this.#scrubber?.end();
    if (rest && rest.length > 0) this.#sink.write(rest);
  }

  /** Ends a stream in good form, in the provider's own format, with a typed reason. */
  #cut(reason: string, billed: "seen" | "unknown" = "seen"): void {
    this.#flush();
    const ending = this.#exchange.meter.ending(reason);
    if (ending !== "") this.#sink.write(Buffer.from(ending));
    this.#end({ kind: "cut", billed, scrubbed: this.#hits, reason });
  }

  #fail(what: string, billed: "nothing" | "seen" | "unknown"): void {
    const { provider } = this.#exchange;
    this.#end({
      kind: "failed",
      refusal: refusal(
        "upstream_failed",
        `provider \`${provider.name}\` ${what}`,
        "check the provider's address in the fleet file",
      ),
      billed,
    });
  }

  #end(outcome: Outcome): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#finish(outcome);
    if (outcome.kind !== "answered" && outcome.kind !== "passed_error")
      this.#controller?.abort(new Error(outcome.kind));
  }
}
