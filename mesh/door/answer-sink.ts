import type { AnswerSink } from "../egress/answer-relay.ts";
import { sendWhole, type HttpResponse } from "../http/exchange.ts";
import { PlainResponse } from "../http/plain-response.ts";
import type { AnswerTape } from "./model-cache.ts";

/** The answer as it goes to the agent; `seen` is what the verdict on a way needs of it. */
export function sinkOf(response: HttpResponse, more: Readonly<Record<string, string>>, tape: AnswerTape | undefined) {
  const seen: { readonly delivered: true; retryAfter: string | undefined } = { delivered: true, retryAfter: undefined };
  let begun = false;
  let waiting: Buffer[] = [];
  const flush = (): void => {
    const [first] = waiting;
    if (!first) return;
    const bytes = waiting.length === 1 ? first : Buffer.concat(waiting);
    waiting = [];
    if (!response.writableEnded) response.write(bytes);
  };
  const sink: AnswerSink = {
    head(status, headers) {
      if (status >= 400) seen.retryAfter = headers["retry-after"];
      tape?.head({ ...headers, ...more });
      response.writeHead(status, { ...headers, ...more, "cache-control": "no-store" });
      // The first event often comes in the same turn: then both go out as one.
      setImmediate(() => begun || response.writableEnded || response.destroyed || response.flushHeaders());
    },
    write(bytes) {
      tape?.write(bytes);
      begun = true;
      // The plain leg copies what it frames.
      if (response instanceof PlainResponse) return response.write(bytes);
      // All events of one reading go out as one chunk, before anything else is read.
      if (waiting.push(Buffer.from(bytes)) === 1) queueMicrotask(flush);
      return !response.writableNeedDrain;
    },
    drained: (resume) => void response.once("drain", resume),
    whole(status, headers, body) {
      if (status >= 400) seen.retryAfter = headers["retry-after"];
      tape?.head({ ...headers, ...more });
      tape?.write(body);
      sendWhole(response, status, { ...headers, ...more }, body);
    },
  };
  /** What was written in this turn stands before the end. */
  const end = (): void => {
    flush();
    response.end();
  };
  return { sink, seen, end };
}
