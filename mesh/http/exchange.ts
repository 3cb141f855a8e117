import type { IncomingMessage, ServerResponse } from "node:http";
import { parseJsonText, type Json, type JsonText } from "../../lib/json.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import { afterwards, type Soon } from "../../lib/soon.ts";
import { limits } from "../../protocol/limits.ts";
import { refusal, refusalStatus, type Refusal, type RefusalBody } from "../../protocol/refusal.ts";
import type { BodyCost } from "./body-memory.ts";
import { fieldLine, flat } from "./fields.ts";
import { PlainRequest } from "./plain-request.ts";
import { PlainResponse } from "./plain-response.ts";

/** A request and the place for its answer, read by Node's server or by the plain leg before it. */
export type HttpRequest = IncomingMessage | PlainRequest;
export type HttpResponse = ServerResponse | PlainResponse;

/** One request and its answer, with the bounds that every listener of the mesh keeps. */
export async function readJson(
  request: HttpRequest,
  bytesMax: number,
): Promise<Result<{ readonly value: Json; readonly bytes: number }, Refusal>> {
  const read = await readJsonText(request, bytesMax);
  return read.ok ? ok({ value: read.value.value, bytes: read.value.bytes.length }) : read;
}

/** The same with all that is needed to send it on in its own words. Of a body that has come nothing is waited for. */
export const readJsonText = (request: HttpRequest, bytesMax: number): Soon<Result<JsonText<Buffer>, Refusal>> =>
  afterwards(readBody(request, bytesMax), (body) => jsonTextOf(request, body));

function jsonTextOf(request: HttpRequest, body: Result<Buffer, Refusal>): Result<JsonText<Buffer>, Refusal> {
  if (!body.ok) return body;
  const parsed = timed(request, () => parseJsonText(body.value, limits.door.jsonDepthMax));
  if (!parsed.ok) return err(refusal("malformed", parsed.error, "send one JSON object in UTF-8"));
  return held(request, parsed.value.weight) ?? parsed;
}

/** The whole body, as it is. */
export function readBody(request: HttpRequest, bytesMax: number): Soon<Result<Buffer, Refusal>> {
  const bytes = bytesSaid(request) ?? bytesMax;
  if (bytes > bytesMax) return tooLarge(bytesMax);
  const encoding = request.headers["content-encoding"] ?? "identity";
  if (encoding !== "identity")
    return err(refusal("unsupported", "compressed bodies are not read", "send the body as it is"));
  if (request instanceof PlainRequest && request.whole) return afterwards(request.body(), wholeOf);
  const refused = held(request, bytes);
  if (refused) return refused;
  const cost = costOf(request);
  const body = request instanceof PlainRequest ? afterwards(request.body(), wholeOf) : collected(request, bytesMax);
  return cost ? inTurn(cost, body) : body;
}

/** Whose time and memory the body of a request takes. */
export function chargeTo(request: HttpRequest, cost: BodyCost): void {
  if (request instanceof PlainRequest) request.cost = cost;
  else costs.set(request, cost);
}

const costs = new WeakMap<HttpRequest, BodyCost>();
const costOf = (request: HttpRequest): BodyCost | undefined =>
  request instanceof PlainRequest ? request.cost : costs.get(request);

/** What is made of a body: where that can be more than a turn, its sender pays for it. */
export function timed<T>(request: HttpRequest, work: () => T): T {
  if (request instanceof PlainRequest && request.length <= SHORT_BYTES_MAX) return work();
  const cost = costOf(request);
  return cost ? cost.turns.timed(work) : work();
}

/** No body of so many bytes takes a turn of the loop. */
const SHORT_BYTES_MAX = 4 * 1024;

/** A body that is still to come waits for a turn when it has: many that end together are read in as many turns. */
async function inTurn<T>({ turns }: BodyCost, body: Soon<Result<T, Refusal>>): Promise<Result<T, Refusal>> {
  const read = await body;
  await turns.own();
  return turns.inDebt ? tooLong : read;
}

/** Until the request has its answer, so many bytes of memory are its sender's. The refusal, where that is too much. */
export function held(request: HttpRequest, bytes: number): Result<never, Refusal> | undefined {
  if (costOf(request)?.hold(bytes) !== false) return undefined;
  const reason = `calls take memory until they are answered, and one of ${bytes} bytes more is too much`;
  return err(refusal("rate_limited", reason, "have fewer or smaller calls open at once, or JSON with fewer parts"));
}

const tooLong = err(
  refusal("rate_limited", "what was sent before took too long to read", "send less at once, or JSON with fewer names"),
);

/** How long the body is by what its head says; undefined: that is not said. */
export function bytesSaid(request: HttpRequest): number | undefined {
  if (request instanceof PlainRequest) return request.length;
  const said = request.headers["content-length"];
  return said === undefined ? undefined : Number(said);
}

const wholeOf = (body: Buffer | undefined): Result<Buffer, Refusal> => (body ? ok(body) : endedEarly);
const tooLarge = (bytesMax: number): Result<never, Refusal> =>
  err(refusal("too_large", `the body is larger than ${bytesMax} bytes`, "send less"));

const endedEarly = err(refusal("malformed", "the body ended early", "send the whole body"));

/** By events: the iterator of a stream costs more than the body of a usual request. */
function collected(request: IncomingMessage, bytesMax: number): Promise<Result<Buffer, Refusal>> {
  const { promise, resolve } = Promise.withResolvers<Result<Buffer, Refusal>>();
  const chunks: Buffer[] = [];
  let bytes = 0;
  const onEarlyEnd = (): void => resolve(endedEarly);
  request.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= bytesMax) chunks.push(chunk);
    // What comes after is not read: the connection is closed after the refusal.
    else {
      chunks.length = 0;
      request.pause();
      resolve(tooLarge(bytesMax));
    }
  });
  request.once("end", () => {
    const [first] = chunks;
    resolve(ok(first && chunks.length === 1 ? first : Buffer.concat(chunks, bytes)));
  });
  request.once("error", onEarlyEnd).once("close", onEarlyEnd);
  if (request.destroyed) onEarlyEnd();
  return promise;
}

/** A whole answer in one write. `headers` say nothing of how it is framed. */
export function sendWhole(
  response: HttpResponse,
  status: number,
  headers: Readonly<Record<string, string>>,
  body: Buffer,
): void {
  if (response.headersSent || response.destroyed) return;
  if (response instanceof PlainResponse) return response.whole(status, headers, NO_STORE, body);
  response.writeHead(status, { ...headers, "cache-control": "no-store", "content-length": body.length });
  // As text, so that it shares one piece with the head; each byte stands for itself.
  if (body.length <= ONE_PIECE_BYTES_MAX) response.end(body.toString("latin1"), "latin1");
  else response.end(body);
}

const NO_STORE = flat(fieldLine("cache-control", "no-store"));
const ONE_PIECE_BYTES_MAX = 16 * 1024;

export function sendJson(response: HttpResponse, status: number, body: unknown): void {
  const text = JSON.stringify(body);
  head(response, status, { "content-type": "application/json", "content-length": Buffer.byteLength(text) });
  response.end(text);
}

export function sendText(response: HttpResponse, text: string): void {
  head(response, 200, { "content-type": "text/plain; charset=utf-8", "content-length": Buffer.byteLength(text) });
  response.end(text);
}

export function sendNothing(response: HttpResponse): void {
  head(response, 204, {});
  response.end();
}

/** Client libraries must not retry into a refusal: `x-should-retry` says so to those that ask. */
export function sendRefusal(
  response: HttpResponse,
  refused: Refusal,
  body = JSON.stringify({ error: refused } satisfies RefusalBody),
): void {
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  // A body that was not read to its end must not be taken for the next request.
  const unread = refused.code === "too_large" || refused.code === "rate_limited";
  head(response, refusalStatus[refused.code], {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
    "x-should-retry": refused.code === "busy" ? "true" : "false",
    ...(unread ? { connection: "close" } : {}),
  });
  response.end(body);
}

function head(response: HttpResponse, status: number, headers: Record<string, string | number>): void {
  if (response.headersSent || response.destroyed) return;
  response.writeHead(status, { ...headers, "cache-control": "no-store", "x-content-type-options": "nosniff" });
}
