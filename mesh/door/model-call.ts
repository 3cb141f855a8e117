import { ok, type Result } from "../../lib/result.ts";
import { limits } from "../../protocol/limits.ts";
import { afterwards, type Soon } from "../../lib/soon.ts";
import { refusal, type Refusal } from "../../protocol/refusal.ts";
import type { FromPath, WireFormat, WireName } from "../egress/wire/format.ts";
import { wireFormats } from "../egress/wire/formats.ts";
import { isRunScope } from "../ledger/amount.ts";
import { readJsonText, sendRefusal, type HttpRequest, type HttpResponse } from "../http/exchange.ts";
import { decisionOf } from "./ask.ts";
import { budgetRefusal, endsAgent } from "./budget-refusal.ts";
import { Departure } from "./departure.ts";
import { NOTHING_MORE, reserve, type NotAdmitted } from "./model-attempt.ts";
import { readForm } from "./model-form.ts";
import { answerFromCache, AnswerTape, placeOf, type CachePlace } from "./model-cache.ts";
import { sendAttempt, type AttemptEnd, type Exchange } from "./model-exchange.ts";
import { linksOf, REASON_CHARS_MAX, refuse, type Links } from "./model-links.ts";
import { isShut, mayFit, waysOf, type Way } from "./model-routing.ts";
import type { RunawayCause } from "./runaway.ts";
import type { Caller, DoorServices } from "./services.ts";

/** The life of one model call: parse, decide, reserve, record, send, meter, settle, record. */
export async function modelCall(
  services: DoorServices,
  caller: Caller,
  { wire, from }: { readonly wire: WireName; readonly from?: FromPath },
  request: HttpRequest,
  response: HttpResponse,
): Promise<void> {
  const format = wireFormats[wire];
  const gone = new Departure();
  // Who has had all of an answer leaves nothing.
  response.once("close", () => response.writableFinished || gone.leave());
  const soon = understand(services, caller, format, request, from);
  const found = soon instanceof Promise ? await soon : soon;
  const told = found.ok
    ? await answer({ services, caller, format, request, response, gone }, found.value)
    : found.error;
  if (told) sendRefusal(response, told, format.refusalBody(told));
}

/** Of a body that has come, and of a call that is allowed, nothing is waited for. */
function understand(
  services: DoorServices,
  caller: Caller,
  format: WireFormat,
  request: HttpRequest,
  from: FromPath | undefined,
): Soon<Result<Understood, Refusal>> {
  if (format.form) return understandForm(services, caller, format, request);
  return afterwards(readJsonText(request, limits.door.bodyBytesMax), (body) => {
    if (!body.ok) return refuse(services, caller, body.error, "");
    const { value, bytes, exponents } = body.value;
    // Written anew, a body can grow (`1e20` has 21 digits): the provider counts what is sent, so that is the bound.
    const sent = exponents ? Math.max(bytes.length, Buffer.byteLength(JSON.stringify(value))) : bytes.length;
    const parsed = format.parse(value, sent, from, body.value);
    if (!parsed.ok) return refuse(services, caller, parsed.error, "");
    return afterwards(linksOf(services, caller, { body: value, call: parsed.value, format }), (links) => {
      if (!links.ok) return links;
      const { chain, links: ways, skipped } = links.value;
      const place = placeOf(services, caller, [format.name, versionOf(request)], value, links.value);
      return ok({ chain, links: ways, skipped, text: () => JSON.stringify(value), place });
    });
  });
}

async function understandForm(
  services: DoorServices,
  caller: Caller,
  format: WireFormat,
  request: HttpRequest,
): Promise<Result<Understood, Refusal>> {
  const read = await readForm(format, request);
  if (!read.ok) return refuse(services, caller, read.error, "");
  const { value, call } = read.value;
  const links = await linksOf(services, caller, { body: value, call, format });
  if (!links.ok) return links;
  const place = placeOf(services, caller, [format.name], value, links.value);
  return ok({ ...links.value, text: () => JSON.stringify(value), place });
}

/** The header that goes to the provider with the call. */
const versionOf = (request: HttpRequest): string => String(request.headers["anthropic-version"] ?? "");

/** Where a call can go, the call as it is written anew, and its place in the cache if its answer is kept. */
type Understood = Links & { readonly text: () => string; readonly place: CachePlace | undefined };

/** The newest ones, so that a record stays within its bound. */
const SKIPPED_TOLD_MAX = 16;

/** Tries one way after another until one answers; returns what the agent is still to be told. */
async function answer(
  exchange: Exchange,
  { chain, links, skipped, text, place }: Understood,
): Promise<Refusal | undefined> {
  const { services, caller, gone } = exchange;
  const ways = waysOf(links, services.routing);
  if (place && (await answerFromCache(services, caller, place, links, exchange.response))) return undefined;
  const counted = services.runaway?.call(caller.agent, text);
  if (typeof counted === "object") return haltRunaway(services, caller, counted, links[0].call.model);
  const passedOver = [...skipped];
  const startMs = services.clock.monotonicMs();
  let sent = 0;
  let last: AttemptEnd | undefined;
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
    const admitted = await reserve(services, caller, way, about);
    if (!admitted.ok) {
      refused = { by: admitted.error, way };
      passedOver.push(`${nameOf(way)}: ${refusalOf(admitted.error).reason}`.slice(0, REASON_CHARS_MAX));
      continue;
    }
    sent++;
    refused = undefined;
    last = await sendAttempt(exchange, admitted.value, {
      held: ways.length > 1,
      tape: place && new AnswerTape(place, caller.agent),
      named: chain !== undefined,
      firstByteMs: chain && Math.min(chain.firstByteMs, leftMs),
      timeoutMs: chain && leftMs,
    });
    if (!last.next) return last.tell();
    passedOver.push(`${nameOf(way)}: ${last.reason}`.slice(0, REASON_CHARS_MAX));
  }
  if (!last) counted?.();
  // Why nothing more could be paid says more than why the last provider failed.
  if (last && refused?.by.kind !== "budget") return last.tell();
  return refused && refuseFor(services, caller, refused.by, links[0].call.model);
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
