import type { Refusal } from "../../protocol/refusal.ts";
import { limits } from "../../protocol/limits.ts";
import { refusal } from "../../protocol/refusal.ts";
import type { Outcome } from "../egress/answer-relay.ts";
import { DeliveryGate, verdictOf, type Verdict } from "../egress/failover.ts";
import { Translator } from "../egress/translate/translator.ts";
import type { WireFormat } from "../egress/wire/format.ts";
import type { HttpRequest, HttpResponse } from "../http/exchange.ts";
import { ResponseSink } from "./answer-sink.ts";
import type { Departure } from "./departure.ts";
import { finish, reasonOf, type Admitted } from "./model-attempt.ts";
import type { AnswerTape } from "./model-cache.ts";
import { routeOf } from "./model-routing.ts";
import type { Caller, DoorServices } from "./services.ts";

/** One call of an agent, and where its answer goes. */
export interface Exchange {
  readonly services: DoorServices;
  readonly caller: Caller;
  /** The agent's own. */
  readonly format: WireFormat;
  readonly request: HttpRequest;
  readonly response: HttpResponse;
  /** Aborted when the agent has gone. */
  readonly gone: Departure;
}

/** What an attempt may use, where there are others. */
export interface Turn {
  /** Others can follow: nothing is delivered before the answer has begun. */
  readonly held: boolean;
  /** Takes down a whole answer. */
  readonly tape?: AnswerTape | undefined;
  /** The agent is told who answered. */
  readonly named: boolean;
  readonly firstByteMs: number | undefined;
  readonly timeoutMs: number | undefined;
}

export interface AttemptEnd {
  /** Another way may be tried: nothing was delivered. */
  readonly next: boolean;
  readonly reason: string;
  /** Delivers what this attempt had to say; a refusal is still to be sent. */
  tell(): Refusal | undefined;
}

/** Sends one attempt, and settles it: its answer goes to the agent as it comes, in the agent's format. */
export async function sendAttempt(exchange: Exchange, admitted: Admitted, turn: Turn): Promise<AttemptEnd> {
  const { services, caller, request, response, gone } = exchange;
  const { call, provider, model, injection, body, outputTokens, work, translation, format } = admitted;
  const metered = format.meter();
  const direct = new ResponseSink(response, turn.named ? { "x-cordon-model": call.model } : undefined, turn.tape);
  const gate = turn.held || translation ? new DeliveryGate(direct, metered) : undefined;
  const meter = gate?.meter ?? metered;
  const translator =
    gate && translation
      ? new Translator({
          translation: translation.answer,
          sink: gate,
          head: {
            id: services.ids.next("msg"),
            model: call.model,
            createdS: Math.floor(services.clock.nowMs() / 1_000),
          },
          automaton: injection?.automaton ?? null,
        })
      : undefined;
  const ended = services.routing?.circuits.begin(routeOf({ link: admitted, provider }));
  let outcome: Outcome | undefined;
  let untold: string | undefined;
  try {
    outcome = await services.gateway.send(
      {
        provider,
        model,
        format,
        meter,
        injection,
        body,
        stream: call.stream,
        outputTokensMax: outputTokens * call.choices,
        agentHeader: (name: string) => single(request.headers[name]),
        signal: work ? AbortSignal.any([gone.signal, work.signal]) : gone,
        idempotencyKey: work?.callKey(caller, provider.name, body),
        firstByteMs: turn.firstByteMs ?? format.firstByteMs,
        timeoutMs: turn.timeoutMs,
      },
      translator ?? gate ?? direct,
    );
    if (translator && outcome.kind !== "failed" && outcome.kind !== "aborted") {
      const told = translator.end();
      if (!told.ok) untold = told.error;
    }
  } finally {
    // Whatever happened, a hold has exactly one end.
    await finish(services, caller, admitted, metered, outcome);
    if (!outcome) ended?.({ kind: "neutral" });
  }
  const verdict: Verdict =
    untold === undefined
      ? verdictOf(outcome, gate ?? direct, services.clock.nowMs())
      : { next: true, health: { kind: "neutral" } };
  ended?.(verdict.health);
  return {
    next: verdict.next,
    reason: untold ?? reasonOf(outcome),
    tell() {
      if (untold !== undefined) return cannotBeTold(provider.name, untold);
      if (outcome.kind === "failed") return outcome.refusal;
      gate?.release();
      direct.end();
      // An answer that the budget has shortened, or that held a credential, is not what the next one would get.
      const whole = outcome.kind === "answered" && outcome.billed === "seen" && outcome.scrubbed === 0;
      if (whole && outputTokens >= (call.outputTokens ?? limits.model.outputTokensDefault)) turn.tape?.keep(call.model);
      return undefined;
    },
  };
}

const cannotBeTold = (provider: string, why: string): Refusal =>
  refusal(
    "upstream_failed",
    `the answer of provider \`${provider}\` cannot be told in this format: ${why}`,
    "ask again, or ask a model that speaks this format",
  );

const single = (value: string | string[] | undefined): string | undefined =>
  typeof value === "string" ? value : undefined;
