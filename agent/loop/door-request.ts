import { assert } from "../../lib/assert.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import { AnswerReader, type AnswerSink } from "./door-answer.ts";

// Not `import … from "node:net"`: listing a module's names for an import loads whatever they are made of.
const net = process.getBuiltinModule("node:net");
const { StringDecoder } = process.getBuiltinModule("node:string_decoder");

export interface DoorRequest {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** JSON text. */
  readonly body?: string;
  /** Longest silence, and longest duration of the whole. */
  readonly idleMs: number;
  readonly totalMs: number;
  readonly responseBytesMax: number;
  readonly signal?: AbortSignal;
  /** Takes an event stream as it arrives, instead of `text`; a text that it returns ends the request as a fault. */
  readonly onStream?: (text: string) => string | undefined;
}

export interface DoorResponse {
  readonly status: number;
  readonly streamed: boolean;
  readonly text: string;
}

/** `sent` = the door may have acted on the request, so that only a harmless one may be sent again. */
export interface TransportFault {
  readonly reason: string;
  readonly sent: boolean;
}

/** One request on a connection of its own: at a Unix socket that costs little, and no stale connection is ever met. */
export function doorRequest(socketPath: string, ask: DoorRequest): Promise<Result<DoorResponse, TransportFault>> {
  return new Promise((resolve) => {
    let sent = false;
    const fail = (reason: string): void => finish(err({ reason, sent }));
    const onAbort = (): void => fail("aborted");
    const finish = (outcome: Result<DoorResponse, TransportFault>): void => {
      clearTimeout(deadline);
      ask.signal?.removeEventListener("abort", onAbort);
      socket.destroy();
      resolve(outcome);
    };
    const deadline = setTimeout(() => fail(`no complete answer within ${ask.totalMs} ms`), ask.totalMs);
    const answer = new Answer(ask);
    const reader = new AnswerReader(answer);
    const after = (fault: string | undefined): void => {
      const wrong = fault ?? answer.fault;
      if (wrong !== undefined) fail(wrong);
      else if (reader.done) finish(ok(answer.whole()));
    };
    const socket = net.connect(socketPath);
    socket.setTimeout(ask.idleMs, () => fail(`silent for ${ask.idleMs} ms`));
    socket.on("connect", () => (sent = true));
    socket.on("error", (fault: NodeJS.ErrnoException) => fail(fault.code ?? fault.message));
    socket.on("data", (bytes: Buffer) => after(reader.push(bytes)));
    socket.on("end", () => after(reader.end()));
    if (ask.signal?.aborted) return onAbort();
    ask.signal?.addEventListener("abort", onAbort, { once: true });
    socket.write(headOf(ask) + (ask.body ?? ""));
  });
}

function headOf(ask: DoorRequest): string {
  const fields: Record<string, string | number> = { host: "door", connection: "close", ...ask.headers };
  if (ask.body !== undefined) {
    fields["content-type"] = "application/json";
    fields["content-length"] = Buffer.byteLength(ask.body);
  }
  const lines = [
    `${ask.method} ${ask.path} HTTP/1.1`,
    ...Object.entries(fields).map(([name, value]) => `${name}: ${value}`),
  ];
  assert(!lines.some((line) => /[^\x20-\x7e]/.test(line)), "a request's path and fields are the agent's own");
  return `${lines.join("\r\n")}\r\n\r\n`;
}

/** What has come of an answer, as text. */
class Answer implements AnswerSink {
  readonly #ask: DoorRequest;
  readonly #decoder = new StringDecoder("utf8");
  readonly #parts: string[] = [];
  #status = 0;
  #streamed = false;
  #size = 0;
  fault: string | undefined;

  constructor(ask: DoorRequest) {
    this.#ask = ask;
  }

  head(status: number, fields: ReadonlyMap<string, string>): void {
    this.#status = status;
    this.#streamed = status === 200 && (fields.get("content-type") ?? "").startsWith("text/event-stream");
  }

  body(bytes: Buffer): void {
    const text = this.#decoder.write(bytes);
    this.#size += text.length;
    if (this.#size > this.#ask.responseBytesMax)
      this.fault ??= `answer longer than ${this.#ask.responseBytesMax} bytes`;
    else if (!this.#streamed || !this.#ask.onStream) this.#parts.push(text);
    else if (text !== "") this.fault ??= this.#ask.onStream(text);
  }

  whole(): DoorResponse {
    return { status: this.#status, streamed: this.#streamed, text: this.#parts.join("") + this.#decoder.end() };
  }
}
