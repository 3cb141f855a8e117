import type { Json, JsonText } from "../../lib/json.ts";
import { ok, type Result } from "../../lib/result.ts";
import type { Soon } from "../../lib/soon.ts";
import { limits } from "../../protocol/limits.ts";
import { refusal, type Refusal } from "../../protocol/refusal.ts";
import type { FromPath, WireName } from "../egress/wire/format.ts";
import { wireFormats } from "../egress/wire/formats.ts";
import { isRunScope } from "../ledger/amount.ts";
import { readJsonText, sendRefusal, timed, type HttpRequest, type HttpResponse } from "../http/exchange.ts";
import { decisionOf } from "./ask.ts";
import { budgetRefusal, endsAgent } from "./budget-refusal.ts";
import { Departure } from "./departure.ts";
import { NOTHING_MORE, reserve, type NotAdmitted } from "./model-attempt.ts";
import { readForm } from "./model-form.ts";
import { answerFromCache, AnswerTape, placeOf, type CachePlace } from "./model-cache.ts";
import { ModelAttempt, type Exchange } from "./model-exchange.ts";
import { linksOf, REASON_CHARS_MAX, refuse, type Asked, type Links } from "./model-links.ts";
import { isShut, mayFit, waysOf, type Way } from "./model-routing.ts";
import type { RunawayCause } from "./runaway.ts";
import type { Caller, DoorServices } from "./services.ts";

/** The life of one model call: parse, decide, reserve, record, send, meter, settle, record. */
export function modelCall(
  services: DoorServices,
  caller: Caller,
  { wire, from }: { readonly wire: WireName; readonly from?: FromPath },
  request: HttpRequest,
  response: HttpResponse,
): Soon<void> {
  const gone = new Departure();
  // Who has had all of an answer leaves nothing.
  response.once("close", () => response.writableFinished || gone.leave());
  const exchange: Exchange = { services, caller, format: wireFormats[wire], request, response, gone };
  const found = exchange.format.form ? understandForm(exchange) : understand(exchange, from);
  return found instanceof Promise ? found.then((late) => goOn(exchange, late)) : goOn(exchange, found);
}

const goOn = (exchange: Exchange, found: Result<Understood, Refusal>): Soon<void> =>
  found.ok ? answer(exchange, found.value) : tell(exchange, found.error);

function tell({ format, response }: Exchange, told: Refusal | undefined): void {
  if (told) sendRefusal(response, told, format.refusalBody(told));
}

/** Of a body that has come, and of a call that is allowed, nothing is waited for. */
function understand(exchange: Exchange, from: FromPath | undefined): Soon<Result<Understood, Refusal>> {
  const body = readJsonText(exchange.request, limits.door.bodyBytesMax);
  return body instanceof Promise ? body.then((late) => parsed(exchange, from, late)) : parsed(exchange, from, body);
}

function parsed(
  exchange: Exchange,
  from: FromPath | undefined,
  body: Result<JsonText<Buffer>, Refusal>,
): Soon<Result<Understood, Refusal>> {
  const { services, caller, format } = exchange;
  if (!body.ok) return refuse(services, caller, body.error, "");
  const text = body.value;
  const { value, bytes, exponents } = text;
  // Written anew, a body can grow (`1e20` has 21 digits): the provider counts what is sent, so that is the bound.
  const sent = exponents ? Math.max(bytes.length, Buffer.byteLength(JSON.stringify(value))) : bytes.length;
  const call = timed(exchange.request, () => format.parse(value, sent, from, text));
  if (!call.ok) return refuse(services, caller, call.error, "");
  return understood(exchange, { body: value, call: call.value, format });
}

async function understandForm(exchange: Exchange): Promise<Result<Understood, Refusal>> {
  const { services, caller, format, request } = exchange;
  const read = await readForm(format, request);
  if (!read.ok) return refuse(services, caller, read.error, "");
  const { value, call } = read.value;
  return understood(exchange, { body: value, call, format });
}

function understood(exchange: Exchange, asked: Asked): Soon<Result<Understood, Refusal>> {
  const links = linksOf(exchange.services, exchange.caller, asked);
  return links instanceof Promise
    ? links.then((late) => placed(exchange, asked, late))
    : placed(exchange, asked, links);
}

function placed(
  { services, caller, format, request }: Exchange,
  { body }: Asked,
  links: Result<Links, Refusal>,
): Result<Understood, Refusal> {
  if (!links.ok) return links;
  const wire = format.form ? [format.name] : [format.name, versionOf(request)];
  const place = services.cache && placeOf(services, caller, wire, body, links.value);
  return ok({ links: links.value, body, place });
}

/** The header that goes to the provider with the call. */
const versionOf = (request: HttpRequest): string => String(request.headers["anthropic-version"] ?? "");

interface Understood {
  /** Where the call can go. */
  readonly links: Links;
  readonly body: Json;
  /** In the cache, if its answer is kept. */
  readonly place: CachePlace | undefined;
}

/** The newest ones, so that a record stays within its bound. */
const SKIPPED_TOLD_MAX = 16;

/** Tries one way after another until one answers, and tells the agent what it still has to be told. */
async function answer(exchange: Exchange, { links: found, body, place }: Understood): Promise<void> {
  const { services, caller, gone } = exchange;
  const { chain, links, skipped } = found;
  if (place && (await answerFromCache(services, caller, place, links, exchange.response))) return;
  const counted = services.runaway?.call(caller.agent, () => JSON.stringify(body));
  if (typeof counted === "object")
    return tell(exchange, await haltRunaway(services, caller, counted, links[0].call.model));
  const ways = waysOf(links, services.routing);
  const passedOver = [...skipped];
  const startMs = services.clock.monotonicMs();
  let sent = 0;
  let last: ModelAttempt | undefined;
  let refused: { readonly by: NotAdmitted; readonly way: Way } | undefined;
  for (const way of ways) {
    const leftMs = startMs + (chain?.deadlineMs ?? limits.model.totalTimeoutMs) - services.clock.monotonicMs();
    // What has been tried once is not tried again by a way that is known to be broken.
    if (last && (isShut(way, services.routing) || sent >= limits.model.attemptsMax || leftMs <= 0 || gone.aborted))
      break;
    if (last && !stillAllowed(services, caller, way)) continue;
    if (refused?.by.kind === "budget" && !mayFit(refused.by.cause, refused.way, way)) continue;
    const about =
      chain || ways.length > 1
        ? { ...(chain && { chain: chain.name }), attempt: sent + 1, skipped: passedOver.slice(-SKIPPED_TOLD_MAX) }
        : NOTHING_MORE;
    const admitted = reserve(services, caller, way, about);
    if (!admitted.ok) {
      refused = { by: admitted.error, way };
      passedOver.push(`${nameOf(way)}: ${refusalOf(admitted.error).reason}`.slice(0, REASON_CHARS_MAX));
      continue;
    }
    sent++;
    refused = undefined;
    last = new ModelAttempt(exchange, admitted.value, {
      held: ways.length > 1,
      tape: place && new AnswerTape(place, caller.agent),
      named: chain !== undefined,
      firstByteMs: chain && Math.min(chain.firstByteMs, leftMs),
      timeoutMs: chain && leftMs,
    });
    await last.send();
    if (!last.next) return tell(exchange, last.tell());
    passedOver.push(`${nameOf(way)}: ${last.reason}`.slice(0, REASON_CHARS_MAX));
  }
  if (!last) counted?.();
  // Why nothing more could be paid says more than why the last provider failed.
  if (last && refused?.by.kind !== "budget") return tell(exchange, last.tell());
  if (refused) tell(exchange, await refuseFor(services, caller, refused.by, links[0].call.model));
}

async function haltRunaway(
  services: DoorServices,
  caller: Caller,
  cause: RunawayCause,
  model: string,
): Promise<Refusal> {
  services.haltRunaway?.(caller.agent, cause);
  services.runaway?.forget(caller.agent);
  const halted = services.halted(caller.agent) ?? refusal("halted", cause.reason, "see `runaway` in the fleet file");
  await refuse(services, caller, halted, model);
  return halted;
}

/** A permission can end, and a halt begin, while a provider keeps the call waiting. */
const stillAllowed = (services: DoorServices, caller: Caller, { link }: Way): boolean =>
  !services.halted(caller.agent) && decisionOf(services, caller, { verb: "model.call", model: link.call.model }).allow;

const nameOf = ({ link, provider }: Way): string =>
  provider.credentials ? `${link.call.model} with \`${provider.credential}\`` : link.call.model;

const refusalOf = (by: NotAdmitted): Refusal => (by.kind === "budget" ? budgetRefusal(by.cause) : by.refusal);

async function refuseFor(services: DoorServices, caller: Caller, by: NotAdmitted, model: string): Promise<Refusal> {
  if (by.kind === "budget") {
    if (by.work && isRunScope(by.cause.scope)) by.work.refused(by.cause);
    else if (endsAgent(by.cause)) services.halt(caller.agent, by.cause);
  }
  const refused = refusalOf(by);
  await refuse(services, caller, refused, model);
  return refused;
}
