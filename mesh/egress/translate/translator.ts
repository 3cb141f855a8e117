import { parseJson, type Json } from "../../../lib/json.ts";
import { err, ok, type Result } from "../../../lib/result.ts";
import { limits } from "../../../protocol/limits.ts";
import type { AnswerSink } from "../answer-relay.ts";
import { EventSplitter, eventData } from "../event-stream.ts";
import { Scrubber, type Automaton } from "../scrubber.ts";
import type { AnswerHead, AnswerTranslation, StreamTranslation } from "./answer.ts";

interface Parts {
  readonly translation: AnswerTranslation;
  readonly sink: AnswerSink;
  readonly head: AnswerHead;
  /** The credential of the call: what is decoded and written anew is looked through once more. */
  readonly automaton: Automaton | null;
}

/**
 * Takes an answer in the provider's format, after the relay has metered and scrubbed it, and tells it in the agent's.
 * A stream is told event by event; a plain answer and an error are told at `end`.
 */
export class Translator implements AnswerSink {
  readonly #parts: Parts;
  readonly #events = new EventSplitter(limits.model.eventBytesMax);
  readonly #scrubber: Scrubber | null;
  #status = 0;
  #headers: Readonly<Record<string, string>> = {};
  #stream: StreamTranslation | undefined;
  #collected: Buffer[] = [];

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#scrubber = parts.automaton && new Scrubber(parts.automaton);
  }

  head(status: number, headers: Readonly<Record<string, string>>): void {
    this.#status = status;
    this.#headers = headers;
    if (status !== 200 || headers["content-type"] !== "text/event-stream") return;
    this.#stream = this.#parts.translation.stream(this.#parts.head);
    this.#parts.sink.head(status, headers);
  }

  write(bytes: Buffer): boolean {
    if (!this.#stream) {
      this.#collected.push(Buffer.from(bytes));
      return true;
    }
    const events = this.#events.push(bytes);
    // Why the mesh has cut a stream is told in a comment, which no format has.
    let told = COMMENT.exec(events.toString("latin1"))?.[0] ?? "";
    for (const data of eventData(events)) {
      if (data === "[DONE]") told += this.#stream.end();
      else told += this.#tell(this.#stream, data);
    }
    return this.#pass(told);
  }

  drained(resume: () => void): void {
    this.#parts.sink.drained(resume);
  }

  /** The provider's answer is complete. The error says what of it cannot be told; then nothing was. */
  end(): Result<void, string> {
    if (this.#stream) {
      this.#pass(this.#stream.end());
      this.#flush();
      return ok(undefined);
    }
    if (this.#status === 0) return ok(undefined);
    const body = parseJson(Buffer.concat(this.#collected), JSON_DEPTH_MAX);
    const { translation, head, sink } = this.#parts;
    let told: Json;
    if (this.#status >= 400) told = translation.error(body.ok ? body.value : null, this.#status);
    else {
      if (!body.ok) return err(body.error);
      const plain = translation.plain(body.value, head);
      if (!plain.ok) return plain;
      told = plain.value;
    }
    sink.head(this.#status, this.#headers);
    this.#pass(JSON.stringify(told));
    this.#flush();
    return ok(undefined);
  }

  #tell(stream: StreamTranslation, data: string): string {
    try {
      return stream.event(JSON.parse(data) as Json);
    } catch {
      // Not an event of the format: a reader of it would have failed, and the meter has passed it over.
      return "";
    }
  }

  #pass(text: string): boolean {
    if (text === "") return true;
    const bytes = Buffer.from(text);
    const clean = this.#scrubber ? this.#scrubber.push(bytes) : bytes;
    return clean.length === 0 || this.#parts.sink.write(clean);
  }

  #flush(): void {
    const rest = this.#scrubber?.end();
    if (rest && rest.length > 0) this.#parts.sink.write(rest);
  }
}

const COMMENT = /^: cordon [a-z_]{1,40}\n\n/m;
/** Of an answer; schemas that a tool was called with are as deep as those of a request. */
const JSON_DEPTH_MAX = 2 * limits.door.jsonDepthMax;
