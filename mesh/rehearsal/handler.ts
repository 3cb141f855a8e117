import type { IncomingMessage, ServerResponse } from "node:http";
import type { Clock } from "../../lib/clock.ts";
import { parseJson } from "../../lib/json.ts";
import { ok, type Result } from "../../lib/result.ts";
import { limits } from "../../protocol/limits.ts";
import { answerTo } from "./answer.ts";
import type { ModelRequest } from "./conversation.ts";
import { faultOf, withLie, type Fault } from "./faults.ts";
import { readBody } from "./read-body.ts";
import { decide, type Utterance } from "./scenario/decide.ts";
import { numberIn } from "./scenario/filters.ts";
import type { Scenario } from "./scenario/scenario.ts";
import { turnOf } from "./scenario/turn.ts";
import { sendEvents, sendJson, type Transmission } from "./transmit.ts";
import { anthropic } from "./wire/anthropic.ts";
import { geminiEmbeddings, openAiEmbeddings } from "./wire/embeddings.ts";
import { wireStatus, type WireError, type WireErrorKind, type WireFormat } from "./wire/format.ts";
import { geminiFor } from "./wire/gemini.ts";
import { openAiImages } from "./wire/images.ts";
import { openAi } from "./wire/openai.ts";
import { responses } from "./wire/responses.ts";
import { openAiTranscriptions } from "./wire/transcriptions.ts";

export interface HandlerOptions {
  readonly scenarios: ReadonlyMap<string, Scenario>;
  readonly isAuthorized: (headers: IncomingMessage["headers"]) => boolean;
  readonly seed: string;
  readonly clock: Clock;
}

/** Answers one request. Rejects only when the client has gone or the rehearsal itself is broken. */
export async function handle(
  request: IncomingMessage,
  response: ServerResponse,
  options: HandlerOptions,
): Promise<void> {
  const path = (request.url ?? "").split("?", 1)[0] ?? "";
  const known = routeOf(path);
  const speaks = request.headers["anthropic-version"] === undefined ? openAi : anthropic;
  const format = known?.format ?? speaks;
  const reply = new Reply(response, format);
  if (!options.isAuthorized(request.headers))
    return reply.fail(
      "unauthenticated",
      "invalid API key: the rehearsal model wants the key that the mesh made for it",
    );
  if (request.method === "GET" && path === "/v1/models") {
    return reply.json(format.models([...options.scenarios.keys()], nowS(options.clock)));
  }
  if (request.method !== "POST" || !known) {
    return reply.fail("not_found", `unknown route \`${request.method} ${path}\``);
  }
  if (speaks === anthropic && format !== anthropic)
    return reply.fail("not_found", "this route speaks the other format");
  if (format === anthropic && request.headers["anthropic-version"] === undefined) {
    return reply.fail("malformed", "anthropic-version: header is required");
  }
  const bytesMax = known.form ? limits.sound.sentBytesMax : limits.rehearsal.bodyBytesMax;
  const body = await readBody(request, bytesMax);
  if (!body) return reply.fail("too_large", `the request is larger than ${bytesMax} bytes`, true);
  if (known.form) {
    const made = await known.form(request.headers["content-type"] ?? "", body);
    return made.ok ? reply.json(made.value) : reply.fail("malformed", made.error);
  }
  const json = parseJson(body, limits.door.jsonDepthMax);
  if (!json.ok) return reply.fail("malformed", json.error);
  if (known.simple) {
    const made = known.simple(json.value, body.length);
    return made.ok ? reply.json(made.value) : reply.fail("malformed", made.error);
  }
  const parsed = format.read(json.value, body.length);
  if (!parsed.ok) return reply.fail("malformed", parsed.error);
  return answer(parsed.value, request, reply, options);
}

interface Route {
  readonly format: WireFormat;
  /** For calls that are answered at once, without a scenario. */
  readonly simple?: (body: unknown, bytes: number) => Result<unknown, string>;
  /** The same for calls that are sent as a form. */
  readonly form?: (contentType: string, body: Buffer) => Promise<Result<unknown, string>>;
}

function routeOf(path: string): Route | undefined {
  switch (path) {
    case "/v1/chat/completions":
      return { format: openAi };
    case "/v1/responses":
      return { format: responses };
    case "/v1/embeddings":
      return { format: openAi, simple: openAiEmbeddings };
    case "/v1/images/generations":
      return { format: openAi, simple: openAiImages };
    case "/v1/audio/transcriptions":
      return { format: openAi, form: openAiTranscriptions };
    case "/v1/messages":
      return { format: anthropic };
    case "/v1/messages/count_tokens":
      return { format: anthropic, simple: countTokens };
    default:
      return geminiRoute(path);
  }
}

/** The gateway escapes the colon of `fault:NAME`. */
function geminiRoute(path: string): Route | undefined {
  const [, escaped = "", verb] = /^\/v1(?:beta)?\/models\/([A-Za-z0-9._%-]{1,200}):([A-Za-z]{1,40})$/.exec(path) ?? [];
  const format = geminiFor(escaped.replace(/%3A/gi, ":"), verb === "streamGenerateContent");
  if (verb === "generateContent" || verb === "streamGenerateContent") return { format };
  return verb === "batchEmbedContents" ? { format, simple: geminiEmbeddings } : undefined;
}

function countTokens(body: unknown, bytes: number): Result<unknown, string> {
  // What is counted has no bound of its own.
  const read = anthropic.read({ max_tokens: 1, ...(body as object) }, bytes);
  return read.ok ? ok({ input_tokens: read.value.inputTokens }) : read;
}

async function answer(
  model: ModelRequest,
  request: IncomingMessage,
  reply: Reply,
  options: HandlerOptions,
): Promise<void> {
  const [name = ""] = model.model.split(":", 1);
  const scenario = options.scenarios.get(name);
  if (!scenario || (name !== "fault" && name !== model.model)) {
    return reply.fail(
      "not_found",
      `model \`${model.model}\` does not exist; there are ${[...options.scenarios.keys()].join(", ")}`,
    );
  }
  const { userText } = turnOf(model.conversation);
  const fault = faultOf(model.model, userText);
  if (!fault.ok) return reply.fail("malformed", fault.error);
  if (fault.value.type === "status") return reply.fail(fault.value.kind, "the fault that was asked for");
  const isTest = name === "counter" || name === "fault";
  const bounded = fault.value.type === "overrun" ? { ...model, maxTokens: undefined } : model;
  const utterance = utteranceFor(fault.value, model, request, scenario);
  const source = { seed: options.seed, createdS: nowS(options.clock), wordByWord: isTest };
  const finished = withLie(answerTo(bounded, utterance, source), fault.value);
  const transmission: Transmission = {
    fault: fault.value,
    paceMs: isTest ? Math.min(numberIn(/\bpace {1,3}(\d{1,9})\b/i, userText) ?? 0, limits.rehearsal.paceMsMax) : 0,
    clock: options.clock,
    gone: reply.gone,
  };
  reply.identify(finished.id);
  if (model.stream) return sendEvents(reply.response, reply.format.events(finished, bounded), transmission);
  return sendJson(reply.response, reply.format.write(finished, bounded), transmission);
}

/** An overrun says at least twice what was allowed. */
function utteranceFor(fault: Fault, model: ModelRequest, request: IncomingMessage, scenario: Scenario): Utterance {
  if (fault.type === "reflect") return { text: JSON.stringify(request.headers), calls: [] };
  const utterance = decide(scenario, model.conversation, model);
  if (fault.type !== "overrun") return utterance;
  const wanted = (model.maxTokens ?? limits.model.outputTokensDefault) * 8;
  const times = Math.ceil(wanted / Math.max(utterance.text.length, 1));
  return { ...utterance, text: utterance.text.repeat(Math.min(times, limits.rehearsal.countTokensMax)) };
}

const nowS = (clock: Clock): number => Math.floor(clock.nowMs() / 1000);

/** One response in one format; knows when the client has gone. */
class Reply {
  readonly response: ServerResponse;
  readonly format: WireFormat;
  readonly #gone = new AbortController();

  constructor(response: ServerResponse, format: WireFormat) {
    this.response = response;
    this.format = format;
    response.setHeader("x-cordon-rehearsal", "1");
    response.once("close", () => this.#gone.abort(new Error("the client has gone")));
  }

  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  identify(id: string): void {
    this.response.setHeader(this.format.requestIdHeader, `req_${id}`);
  }

  json(body: unknown): void {
    const bytes = Buffer.from(JSON.stringify(body));
    this.response.setHeader("content-type", "application/json").setHeader("content-length", bytes.length).end(bytes);
  }

  /** With `last`, the connection ends, because the rest of the body was not read. */
  fail(kind: WireErrorKind, message: string, last = false): void {
    const error: WireError = { kind, message };
    this.response.statusCode = wireStatus[kind];
    if (last) this.response.setHeader("connection", "close");
    if (kind === "rate_limited") this.response.setHeader("retry-after", "1");
    this.json(this.format.error(error));
  }
}
