import type { AnswerSink } from "../egress/answer-relay.ts";
import { sendWhole, type HttpResponse } from "../http/exchange.ts";
import { PlainResponse } from "../http/plain-response.ts";
import type { AnswerTape } from "./model-cache.ts";

type Headers = Readonly<Record<string, string>>;

/** The answer as it goes to the agent, and what the verdict on a way needs of it. */
export class ResponseSink implements AnswerSink {
  readonly delivered = true;
  retryAfter: string | undefined;
  readonly #response: HttpResponse;
  readonly #more: Headers | undefined;
  readonly #tape: AnswerTape | undefined;
  #begun = false;
  #waiting: Buffer[] | undefined;

  /** `more` is told beside what the provider says. */
  constructor(response: HttpResponse, more: Headers | undefined, tape: AnswerTape | undefined) {
    this.#response = response;
    this.#more = more;
    this.#tape = tape;
  }

  head(status: number, headers: Headers): void {
    const response = this.#response;
    response.writeHead(status, { ...this.#seen(status, headers), "cache-control": "no-store" });
    // The first event often comes in the same turn: then both go out as one.
    setImmediate(() => this.#begun || response.writableEnded || response.destroyed || response.flushHeaders());
  }

  write(bytes: Buffer): boolean {
    this.#tape?.write(bytes);
    this.#begun = true;
    // The plain leg copies what it frames.
    if (this.#response instanceof PlainResponse) return this.#response.write(bytes);
    this.#waiting ??= [];
    // All events of one reading go out as one chunk, before anything else is read.
    if (this.#waiting.push(Buffer.from(bytes)) === 1) queueMicrotask(() => this.#flush());
    return !this.#response.writableNeedDrain;
  }

  drained(resume: () => void): void {
    this.#response.once("drain", resume);
  }

  whole(status: number, headers: Headers, body: Buffer): void {
    const told = this.#seen(status, headers);
    this.#tape?.write(body);
    sendWhole(this.#response, status, told, body);
  }

  /** What was written in this turn stands before the end. */
  end(): void {
    this.#flush();
    this.#response.end();
  }

  #seen(status: number, headers: Headers): Headers {
    if (status >= 400) this.retryAfter = headers["retry-after"];
    const told = this.#more ? { ...headers, ...this.#more } : headers;
    this.#tape?.head(told);
    return told;
  }

  #flush(): void {
    const [first, ...more] = this.#waiting ?? [];
    if (!first) return;
    this.#waiting = undefined;
    if (!this.#response.writableEnded)
      this.#response.write(more.length === 0 ? first : Buffer.concat([first, ...more]));
  }
}
