import type { Refusal } from "../../protocol/refusal.ts";
import { limits } from "../../protocol/limits.ts";
import { refusal } from "../../protocol/refusal.ts";
import type { Outcome } from "../egress/answer-relay.ts";
import { DeliveryGate, verdictOf, type Verdict } from "../egress/failover.ts";
import { Translator } from "../egress/translate/translator.ts";
import type { ModelRequest } from "../egress/model-gateway.ts";
import type { Meter, WireFormat } from "../egress/wire/format.ts";
import type { HttpRequest, HttpResponse } from "../http/exchange.ts";
import { ResponseSink } from "./answer-sink.ts";
import type { Departure } from "./departure.ts";
import { finish, type Admitted } from "./model-attempt.ts";
import type { AnswerTape } from "./model-cache.ts";
import { routeOf } from "./model-routing.ts";
import type { Caller, DoorServices } from "./services.ts";
import { reasonOf } from "./settlement.ts";

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

/**
 * One attempt: what the gateway asks, where the answer goes, and how it has ended. Its answer goes to the agent as it
 * comes, in the agent's format.
 */
export class ModelAttempt implements ModelRequest {
  readonly provider: ModelRequest["provider"];
  readonly model: string;
  readonly format: WireFormat;
  readonly meter: Meter;
  readonly stream: boolean;
  readonly body: Buffer;
  readonly outputTokensMax: number;
  readonly injection: ModelRequest["injection"];
  readonly agentHeaders: ModelRequest["agentHeaders"];
  readonly signal: ModelRequest["signal"];
  readonly idempotencyKey: string | undefined;
  readonly firstByteMs: number | undefined;
  readonly timeoutMs: number | undefined;
  /** Another way may be tried: nothing was delivered. */
  next = false;
  reason = "";
  readonly #exchange: Exchange;
  readonly #admitted: Admitted;
  readonly #tape: AnswerTape | undefined;
  /** Of the format itself, also where a gate stands before it. */
  readonly #metered: Meter;
  readonly #direct: ResponseSink;
  readonly #gate: DeliveryGate | undefined;
  #outcome: Outcome | undefined;
  /** Why an answer cannot be told in the agent's format. */
  #untold: string | undefined;

  constructor(exchange: Exchange, admitted: Admitted, turn: Turn) {
    const { way, work, body, injection, outputTokens } = admitted;
    const { call, format, model, translation } = way.link;
    const { request, response, gone } = exchange;
    this.#exchange = exchange;
    this.#admitted = admitted;
    this.#tape = turn.tape;
    this.#metered = format.meter();
    this.#direct = new ResponseSink(response, turn.named ? { "x-cordon-model": call.model } : undefined, turn.tape);
    this.#gate = turn.held || translation ? new DeliveryGate(this.#direct, this.#metered) : undefined;
    this.provider = way.provider;
    this.model = model;
    this.format = format;
    this.meter = this.#gate?.meter ?? this.#metered;
    this.stream = call.stream;
    this.body = body;
    this.outputTokensMax = outputTokens * call.choices;
    this.injection = injection;
    this.agentHeaders = request.headers;
    this.signal = work ? AbortSignal.any([gone.signal, work.signal]) : gone;
    this.idempotencyKey = work?.callKey(exchange.caller, way.provider.name, body);
    this.firstByteMs = turn.firstByteMs ?? format.firstByteMs;
    this.timeoutMs = turn.timeoutMs;
  }

  /** Sends it once its hold is on disk, and settles it. */
  async send(): Promise<void> {
    const { services, caller } = this.#exchange;
    const admitted = this.#admitted;
    const translator = this.#translator();
    const go = services.gateway.prepare(this, translator ?? this.#gate ?? this.#direct);
    await admitted.onDisk;
    const ended = services.routing?.circuits.begin(routeOf(admitted.way));
    let outcome: Outcome | undefined;
    try {
      outcome = await go();
      if (translator && outcome.kind !== "failed" && outcome.kind !== "aborted") {
        const told = translator.end();
        if (!told.ok) this.#untold = told.error;
      }
    } finally {
      // Whatever happened, a hold has exactly one end.
      await finish(services, caller, admitted, this.#metered, outcome);
      if (!outcome) ended?.({ kind: "neutral" });
    }
    this.#outcome = outcome;
    const verdict: Verdict =
      this.#untold === undefined
        ? verdictOf(outcome, this.#gate ?? this.#direct, services.clock.nowMs())
        : { next: true, health: { kind: "neutral" } };
    ended?.(verdict.health);
    this.next = verdict.next;
    this.reason = this.#untold ?? reasonOf(outcome);
  }

  /** Delivers what it had to say; a refusal is still to be sent. */
  tell(): Refusal | undefined {
    const outcome = this.#outcome;
    if (this.#untold !== undefined) return cannotBeTold(this.provider.name, this.#untold);
    if (outcome?.kind === "failed") return outcome.refusal;
    this.#gate?.release();
    this.#direct.end();
    // An answer that the budget has shortened, or that held a credential, is not what the next one would get.
    const whole = outcome?.kind === "answered" && outcome.billed === "seen" && outcome.scrubbed === 0;
    const { call } = this.#admitted.way.link;
    if (whole && this.#admitted.outputTokens >= (call.outputTokens ?? limits.model.outputTokensDefault))
      this.#tape?.keep(call.model);
    return undefined;
  }

  #translator(): Translator | undefined {
    const { services } = this.#exchange;
    const { call, translation } = this.#admitted.way.link;
    if (!this.#gate || !translation) return undefined;
    const createdS = Math.floor(services.clock.nowMs() / 1_000);
    return new Translator({
      translation: translation.answer,
      sink: this.#gate,
      head: { id: services.ids.next("msg"), model: call.model, createdS },
      automaton: this.injection?.automaton ?? null,
    });
  }
}

const cannotBeTold = (provider: string, why: string): Refusal =>
  refusal(
    "upstream_failed",
    `the answer of provider \`${provider}\` cannot be told in this format: ${why}`,
    "ask again, or ask a model that speaks this format",
  );
