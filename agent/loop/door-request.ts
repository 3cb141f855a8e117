import type { ClientRequest, IncomingMessage } from "node:http";
import { err, ok, type Result } from "../../lib/result.ts";
import { limits } from "../../protocol/limits.ts";

// Not `import … from "node:http"`: listing that module's names for an import loads the whole of fetch and
// WebSocket behind them, 7 MB and 40 ms of a core in every sandbox.
const http = process.getBuiltinModule("node:http");
const net = process.getBuiltinModule("node:net");

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
      request.destroy();
      resolve(outcome);
    };
    const deadline = setTimeout(() => fail(`no complete answer within ${ask.totalMs} ms`), ask.totalMs);
    const request: ClientRequest = http.request({
      // Without an agent: the first thing that one does is to compile the expression for addresses of IPv6.
      createConnection: () => net.connect(socketPath),
      method: ask.method,
      path: ask.path,
      maxHeaderSize: limits.door.headerBytesMax,
      headers: headersOf(ask),
    });
    request.setTimeout(ask.idleMs, () => fail(`silent for ${ask.idleMs} ms`));
    request.on("socket", (socket) => socket.once("connect", () => (sent = true)));
    request.on("error", (fault: NodeJS.ErrnoException) => fail(fault.code ?? fault.message));
    request.on("response", (response) => collect(response, ask, finish, fail));
    if (ask.signal?.aborted) return onAbort();
    ask.signal?.addEventListener("abort", onAbort, { once: true });
    request.end(ask.body);
  });
}

function headersOf(ask: DoorRequest): Record<string, string | number> {
  const headers: Record<string, string | number> = { host: "door", ...ask.headers };
  if (ask.body !== undefined) {
    headers["content-type"] = "application/json";
    headers["content-length"] = Buffer.byteLength(ask.body);
  }
  return headers;
}

function collect(
  response: IncomingMessage,
  ask: DoorRequest,
  finish: (outcome: Result<DoorResponse, TransportFault>) => void,
  fail: (reason: string) => void,
): void {
  const status = response.statusCode ?? 0;
  const streamed = status === 200 && (response.headers["content-type"] ?? "").startsWith("text/event-stream");
  const parts: string[] = [];
  let size = 0;
  response.setEncoding("utf8");
  response.on("data", (text: string) => {
    size += text.length;
    if (size > ask.responseBytesMax) return fail(`answer longer than ${ask.responseBytesMax} bytes`);
    if (!streamed || !ask.onStream) return void parts.push(text);
    const fault = ask.onStream(text);
    if (fault !== undefined) fail(fault);
  });
  response.on("end", () => finish(ok({ status, streamed, text: parts.join("") })));
  response.on("error", (fault: NodeJS.ErrnoException) => fail(fault.code ?? fault.message));
}
