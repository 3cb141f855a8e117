import type { IncomingMessage, ServerResponse } from "node:http";
import type { Json } from "../../lib/json.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import { limits } from "../../protocol/limits.ts";
import { refusal, type Refusal } from "../../protocol/refusal.ts";
import type { Outcome } from "../egress/answer-relay.ts";
import type { Injection } from "../egress/credentials.ts";
import { familyOf, type Provider } from "../egress/providers.ts";
import type { FromPath, Meter, ModelCall, WireFormat, WireName } from "../egress/wire/format.ts";
import { wireFormats } from "../egress/wire/formats.ts";
import { imageTokensMax } from "../egress/wire/image-tokens.ts";
import { isRunScope } from "../ledger/amount.ts";
import type { Hold } from "../ledger/ledger.ts";
import { outputTokensPayable } from "../ledger/payable.ts";
import { worstCase, type Price } from "../ledger/price.ts";
import { ask, recordRefusal } from "./ask.ts";
import { budgetRefusal, endsAgent } from "./budget-refusal.ts";
import { readJson, sendRefusal } from "../http/exchange.ts";
import { withinLimits } from "./model-limits.ts";
import { evidenceOf, type Caller, type DoorServices, type Work } from "./services.ts";
import { settle } from "./settlement.ts";

/** A call that may go out: everything is decided, held and on disk. */
interface Admitted {
  readonly call: ModelCall;
  readonly provider: Provider;
  /** The provider's own name of it. */
  readonly model: string;
  readonly price: Price;
  readonly hold: Hold;
  /** What the call was made for, if for a run. */
  readonly work: Work | undefined;
  readonly injection: Injection | null;
  readonly body: Buffer;
  readonly outputTokens: number;
}

/** The life of one model call: parse, decide, reserve, record, send, meter, settle, record. */
export async function modelCall(
  services: DoorServices,
  caller: Caller,
  { wire, from }: { readonly wire: WireName; readonly from?: FromPath },
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const format = wireFormats[wire];
  const gone = new AbortController();
  response.once("close", () => gone.abort());
  const admitted = await admit(services, caller, format, request, from);
  if (!admitted.ok) return sendRefusal(response, admitted.error, format.refusalBody(admitted.error));
  const { call, provider, model, injection, body, outputTokens, work } = admitted.value;
  const meter = format.meter();
  const exchange = {
    ...{ provider, model, format, meter, injection, body },
    stream: call.stream,
    outputTokensMax: outputTokens * call.choices,
    agentHeader: (name: string) => single(request.headers[name]),
    signal: work ? AbortSignal.any([gone.signal, work.signal]) : gone.signal,
    ...(work && { idempotencyKey: work.callKey(caller, provider.name, body) }),
  };
  let outcome: Outcome | undefined;
  try {
    outcome = await services.gateway.send(exchange, {
      head: (status, headers) => response.writeHead(status, { ...headers, "cache-control": "no-store" }).flushHeaders(),
      write: (bytes) => response.write(bytes),
      drained: (resume) => response.once("drain", resume),
    });
  } finally {
    // Whatever happened, a hold has exactly one end.
    await finish(services, caller, admitted.value, meter, outcome);
  }
  if (outcome.kind === "failed") sendRefusal(response, outcome.refusal, format.refusalBody(outcome.refusal));
  else response.end();
}

async function admit(
  services: DoorServices,
  caller: Caller,
  format: WireFormat,
  request: IncomingMessage,
  from: FromPath | undefined,
): Promise<Result<Admitted, Refusal>> {
  const body = await readJson(request, limits.door.bodyBytesMax);
  const parsed = body.ok ? format.parse(body.value.value, bytesAsSent(body.value.value, body.value.bytes), from) : body;
  if (!parsed.ok) return refuse(services, caller, parsed.error, "");
  const call = meant(services, parsed.value);
  const asked = await ask(services, caller, { verb: "model.call", model: call.model });
  if (!asked.ok) return asked;
  const limited = withinLimits(caller.agent, services.modelLimits.get(caller.agent) ?? {}, call);
  const target = limited.ok ? resolve(services, format, limited.value) : limited;
  if (!target.ok) return refuse(services, caller, target.error, call.model);
  return reserve(services, caller, target.value.call, target.value, asked.value.rule);
}

/** A name of the fleet's own becomes the model that it stands for, before anything is decided or priced. */
function meant(services: DoorServices, call: ModelCall): ModelCall {
  const model = services.aliases.get(call.model);
  return model ? { ...call, model: `${model.provider}/${model.model}` } : call;
}

/** Written anew, a body can grow (`1e20` has 21 digits): the provider counts what is sent, so that is the bound. */
const bytesAsSent = (body: Json, received: number): number =>
  Math.max(received, Buffer.byteLength(JSON.stringify(body)));

interface Target {
  /** With all that it can cost. */
  readonly call: ModelCall;
  readonly provider: Provider;
  readonly model: string;
  readonly price: Price;
}

/** No provider, no price, no bound, no credential: no call. */
function resolve(services: DoorServices, format: WireFormat, call: ModelCall): Result<Target, Refusal> {
  const slash = call.model.indexOf("/");
  const name = call.model.slice(0, slash);
  const model = call.model.slice(slash + 1);
  const provider = services.providers.get(name);
  if (!provider?.apis.includes(format.api)) {
    return err(
      refusal(
        "unsupported",
        `provider \`${name}\` does not speak the ${format.api} format`,
        `call it on its own route`,
      ),
    );
  }
  const price = services.prices.priceOf(provider.priceList ?? provider.name, model, call.outputTokens === 0);
  if (!price) {
    return err(
      refusal(
        "unsupported",
        `no price is known for \`${call.model}\``,
        "use a model of the price list, or declare the provider with a `price`",
      ),
    );
  }
  const images = imageTokensMax(provider, model, call.images);
  if (!images.ok) return images;
  return ok({ call: { ...call, inputTokensMax: call.inputTokensMax + images.value }, provider, model, price });
}

/** Clamps the answer to what the budget can pay, holds the worst case in every scope, and records it before anything is sent. */
async function reserve(
  services: DoorServices,
  caller: Caller,
  call: ModelCall,
  target: Target,
  rule: string,
): Promise<Result<Admitted, Refusal>> {
  const { provider, model, price } = target;
  const injection = provider.credential === null ? null : services.injector.prepare(provider.credential);
  if (injection === undefined) {
    const missing = refusal(
      "upstream_rejected",
      `the vault holds no credential \`${provider.credential}\``,
      `add it with \`cordon credential add ${provider.credential}\``,
    );
    return refuse(services, caller, missing, call.model);
  }
  const work = services.workOf?.(caller);
  const scopes = [...services.scopes.of(caller.agent), ...(work?.scopes ?? [])];
  // No answer is longer than what the model can hold.
  const wanted = Math.min(call.outputTokens ?? limits.model.outputTokensDefault, price.contextTokens ?? Infinity);
  const payable = outputTokensPayable(
    price,
    services.ledger.left(scopes, provider.name),
    call.inputTokensMax,
    call.choices,
  );
  const outputTokens = Math.min(wanted, Math.max(payable, OUTPUT_TOKENS_MIN));
  const body = call.body(model, outputTokens, familyOf(provider));
  const held = services.ledger.reserve(
    scopes,
    worstCase(price, call.inputTokensMax, outputTokens, call.choices),
    call.model,
    {
      bytes: body.length,
      destination: provider.name,
      credential: provider.credential,
      price: price.source,
      run: work?.run,
    },
  );
  if (!held.ok) {
    if (work && isRunScope(held.error.scope)) work.refused(held.error);
    else if (endsAgent(held.error)) services.halt(caller.agent, held.error);
    return refuse(services, caller, budgetRefusal(held.error), call.model);
  }
  const hold = held.value;
  await services.audit.record(
    {
      kind: "model.reserved",
      subject: `agent:${caller.agent}`,
      detail: {
        allow: true,
        sandbox: caller.sandbox,
        verb: "model.call",
        model: call.model,
        rule,
        hold: hold.id,
        tokens: hold.worst.tokens,
        micro_usd: hold.worst.microUsd,
        price: price.source,
        credential: provider.credential,
        ...evidenceOf(work),
      },
    },
    [...hold.writes, ...(injection?.writes ?? []), ...(work?.began(hold.id, "model", call.model) ?? [])],
  );
  return ok({
    call,
    provider,
    model,
    price,
    hold,
    work,
    injection,
    outputTokens,
    body,
  });
}

/** An answer shorter than this is of no use. */
const OUTPUT_TOKENS_MIN = 16;

async function finish(
  services: DoorServices,
  caller: Caller,
  admitted: Admitted,
  meter: Meter,
  outcome: Outcome | undefined,
): Promise<void> {
  const { call, hold, price, work } = admitted;
  const settled = settle(services.ledger, { call, hold, price, meter, billed: outcome?.billed ?? "unknown" });
  const ended = outcome?.kind ?? "fault";
  await services.audit.record(
    {
      kind: "model.settled",
      subject: `agent:${caller.agent}`,
      detail: {
        ...{ hold: hold.id, model: call.model, outcome: ended, reason: reasonOf(outcome), ...settled.detail },
        ...evidenceOf(work),
      },
    },
    [...settled.writes, ...(work?.ended(hold.id, ended, settled) ?? [])],
  );
  services.monitor.emit("model.settled", caller.agent, {
    model: call.model,
    outcome: ended,
    tokens: settled.tokens,
    microUsd: settled.microUsd,
  });
}

function reasonOf(outcome: Outcome | undefined): string {
  if (!outcome) return "fault of the mesh";
  if (outcome.kind === "failed") return outcome.refusal.reason.slice(0, 200);
  return outcome.kind === "passed_error" ? `status ${outcome.status}` : outcome.reason;
}

async function refuse(
  services: DoorServices,
  caller: Caller,
  refused: Refusal,
  model: string,
): Promise<Result<never, Refusal>> {
  await recordRefusal(services, caller, { verb: "model.call", model: model.slice(0, 200) }, refused);
  return err(refused);
}

const single = (value: string | string[] | undefined): string | undefined =>
  typeof value === "string" ? value : undefined;
