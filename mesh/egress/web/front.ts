import type { IncomingMessage, ServerResponse } from "node:http";
import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import type { Readable, Writable } from "node:stream";
import { refusalStatus, type Refusal, type RefusalBody } from "../../../protocol/refusal.ts";
import type { Field, RawHead } from "./head.ts";

/** The fields of an answer, names and values as they are to be written. */
export interface Told {
  readonly fields: readonly Field[];
  /** The same in HTTP/1.1, as the answer's status has them, once somebody has written them. */
  lines?: string;
}

/** Whose memory bytes are in: who needs them after the call in which they came borrows them, until what this returns is called. */
export interface Lender {
  lend(): () => void;
}

/** Memory that nobody reads into again. */
export const OWN: Lender = { lend: () => () => {} };

/** One request of a client and the place for its answer, over either version of HTTP. */
export interface Front {
  readonly head: RawHead;
  /** Null: there is none, or it is here. */
  readonly body: Readable | null;
  /** A body that came whole with its head. */
  readonly whole: Buffer | null;
  started(): boolean;
  /** Without a `content-length` the front says where it ends. */
  answer(status: number, told: Told): void;
  /**
   * False: wait for `onDrain`. `bytes` are in memory that is read into again: who needs them after this call borrows them.
   */
  write(bytes: Buffer, lender: Lender): boolean;
  end(bytes?: Buffer): void;
  onDrain(act: () => void): void;
  /** The client has gone, or all was said. One listener at most; null takes it away. */
  onClose(act: (() => void) | null): void;
  destroy(): void;
}

/** What Node's streams do for both of their fronts. They keep what they are given for as long as they like. */
function ways(out: Writable): Pick<Front, "write" | "end" | "onDrain" | "onClose"> {
  let onClose: (() => void) | null = null;
  let closed = false;
  out.once("close", () => {
    closed = true;
    onClose?.();
  });
  return {
    write: (bytes) => out.write(Buffer.from(bytes)),
    end: (bytes) => void (bytes === undefined ? out.end() : out.end(bytes)),
    onDrain: (act) => void out.once("drain", act),
    onClose: (act) => {
      onClose = act;
      if (closed) act?.();
    },
  };
}

export function frontOfHttp1(request: IncomingMessage, response: ServerResponse, upgrade = false): Front {
  const { rawHeaders } = request;
  const fields: Field[] = [];
  for (let i = 0; i + 1 < rawHeaders.length; i += 2)
    fields.push([(rawHeaders[i] ?? "").toLowerCase(), rawHeaders[i + 1] ?? ""]);
  const { "content-length": length, "transfer-encoding": coding } = request.headers;
  response.on("error", () => response.destroy());
  return {
    head: {
      method: request.method ?? "",
      target: request.url ?? "",
      authorities: fields.flatMap(([name, value]) => (name === "host" ? [value] : [])),
      fields: fields.filter(([name]) => name !== "host"),
      upgrade,
    },
    body: coding === undefined && (length === undefined || length === "0") ? null : request,
    whole: null,
    ...ways(response),
    started: () => response.headersSent || response.destroyed,
    answer: (status, { fields: answered }) => {
      response.writeHead(status, answered.flat());
      // What comes in the same turn goes out with it in one piece.
      response.cork();
      response.flushHeaders();
      process.nextTick(() => response.writableEnded || response.uncork());
    },
    destroy: () => response.destroy(),
  };
}

export function frontOfHttp2(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  rawHeaders: readonly string[],
): Front {
  const fields: Field[] = [];
  const authorities: string[] = [];
  const cookies: string[] = [];
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? "";
    const value = rawHeaders[i + 1] ?? "";
    // RFC 9113 §8.3.1: `:authority` stands in the place of `Host`; both may be there when they agree.
    if (name === ":authority" || name === "host") {
      if (!authorities.includes(value)) authorities.push(value);
    } else if (name === "cookie") cookies.push(value);
    else if (!name.startsWith(":")) fields.push([name, value]);
  }
  if (cookies.length > 0) fields.push(["cookie", cookies.join("; ")]);
  // An extended CONNECT (RFC 8441) was not offered, and no scheme but that of the connection is meant.
  const strange = headers[":scheme"] !== "https" || headers[":protocol"] !== undefined;
  return {
    head: {
      method: strange ? "" : (headers[":method"] ?? ""),
      target: headers[":path"] ?? "",
      authorities,
      fields,
      upgrade: false,
    },
    body: stream.endAfterHeaders ? null : stream,
    whole: null,
    ...ways(stream),
    started: () => stream.headersSent || stream.destroyed,
    answer: (status, { fields: answered }) => {
      const named: Record<string, string | string[]> = {};
      for (const [name, value] of answered) {
        const before = named[name];
        named[name] = before === undefined ? value : [before, value].flat();
      }
      stream.respond({ ":status": status, ...named });
    },
    destroy: () => stream.close(NGHTTP2_INTERNAL_ERROR),
  };
}

/** RFC 9113 §7. */
const NGHTTP2_INTERNAL_ERROR = 2;

/** In the mesh's own words; no upstream has said anything of it. */
export function answerRefusal(front: Front, refused: Refusal): void {
  try {
    tellRefusal(front, refused);
  } catch {
    // The client has gone in between.
    front.destroy();
  }
}

function tellRefusal(front: Front, refused: Refusal): void {
  if (front.started()) return front.destroy();
  const body = Buffer.from(JSON.stringify({ error: refused } satisfies RefusalBody));
  const challenge: readonly Field[] = refused.code === "unauthenticated" ? [["www-authenticate", CHALLENGE]] : [];
  front.answer(refusalStatus[refused.code], { fields: [...refusalFields(body.length), ...challenge] });
  front.end(front.head.method === "HEAD" ? undefined : body);
}

const CHALLENGE = 'Basic realm="cordon"';

export const refusalFields = (bytes: number): readonly Field[] => [
  ["content-type", "application/json"],
  ["content-length", String(bytes)],
  ["cache-control", "no-store"],
  ["x-should-retry", "false"],
];
