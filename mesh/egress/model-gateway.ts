import type { Clock } from "../../lib/clock.ts";
import { limits } from "../../protocol/limits.ts";
import type { Injection } from "./credentials.ts";
import { Deadlines } from "../http/deadlines.ts";
import { Turns } from "../http/turns.ts";
import type { Sending } from "./http1/connection.ts";
import { Pool } from "./http1/pool.ts";
import type { Provider } from "./providers.ts";
import { targetOf } from "./providers-target.ts";
import { AnswerRelay, type AnswerSink, type Outcome } from "./answer-relay.ts";
import type { AgentHeaders, Meter, WireFormat } from "./wire/format.ts";

export interface ModelRequest {
  readonly provider: Provider;
  /** The provider's own name of the model. */
  readonly model: string;
  readonly format: WireFormat;
  readonly meter: Meter;
  readonly stream: boolean;
  readonly body: Buffer;
  /** Over all answers; a stream that passes it is cut. */
  readonly outputTokensMax: number;
  readonly injection: Injection | null;
  /** Of the agent's own request. */
  readonly agentHeaders: AgentHeaders;
  /** Names the call, for a provider that makes a call of one name once. */
  readonly idempotencyKey?: string | undefined;
  /** From the request to the head of its answer; shorter than the gateway's own. */
  readonly firstByteMs?: number | undefined;
  /** For the whole exchange; shorter than the gateway's own. */
  readonly timeoutMs?: number | undefined;
  /** Aborted when the agent has gone. */
  readonly signal: Leaving;
}

/** What is needed of an AbortSignal. */
export interface Leaving {
  readonly aborted: boolean;
  addEventListener(type: "abort", listener: Listener, options: { readonly once: true }): void;
  removeEventListener(type: "abort", listener: Listener): void;
}

interface Listener {
  handleEvent(): void;
}

/** The only way from the mesh to a model. Never throws: what goes wrong is the outcome. */
export class ModelGateway {
  readonly #clock: Clock;
  readonly #deadlines: Deadlines;
  readonly #turns: Turns;
  readonly #pools = new Map<string, Pool>();

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#deadlines = new Deadlines(clock);
    this.#turns = new Turns(clock);
  }

  send(request: ModelRequest, sink: AnswerSink): Promise<Outcome> {
    return this.prepare(request, sink)();
  }

  /** All that can be done before a call may be sent; what is returned sends it. */
  prepare(request: ModelRequest, sink: AnswerSink): () => Promise<Outcome> {
    const { provider, signal } = request;
    const { promise, resolve } = Promise.withResolvers<Outcome>();
    const relay = new AnswerRelay(request, sink, (outcome) => {
      signal.removeEventListener("abort", relay);
      this.#deadlines.clear(relay);
      resolve(outcome);
    });
    try {
      const target = targetOf(request, this.#clock);
      const pool = this.#pool(provider, target.url);
      const firstByteMs = request.firstByteMs ?? limits.model.firstByteTimeoutMs;
      const sending = pool.sendingOf(target, firstByteMs, target.answer(relay), request.injection?.stands);
      return () => {
        this.#go(request, relay, pool, sending);
        return promise;
      };
    } catch (cause) {
      relay.unsent(cause as Error);
      return () => promise;
    }
  }

  #go({ signal, timeoutMs }: ModelRequest, relay: AnswerRelay, pool: Pool, sending: Sending): void {
    signal.addEventListener("abort", relay, { once: true });
    this.#deadlines.set(relay, timeoutMs ?? limits.model.totalTimeoutMs);
    if (signal.aborted) relay.abort("client_gone");
    try {
      pool.send(sending);
    } catch (cause) {
      relay.unsent(cause as Error);
    }
  }

  close(): Promise<void> {
    for (const pool of this.#pools.values()) pool.destroy();
    this.#deadlines.close();
    return Promise.resolve();
  }

  #pool({ name, socketPath }: Provider, url: URL): Pool {
    let pool = this.#pools.get(name);
    if (!pool) {
      const place = { url, turns: this.#turns, ...(socketPath === undefined ? {} : { socketPath }) };
      pool = new Pool(place, this.#clock, this.#deadlines);
      this.#pools.set(name, pool);
    }
    return pool;
  }
}
