import type { Json } from "../../lib/json.ts";
import { limits } from "../../protocol/limits.ts";
import { ResponseCache, type CacheRule, type KeptAnswer } from "../egress/response-cache.ts";
import type { HttpResponse } from "../http/exchange.ts";
import type { Link, Links } from "./model-links.ts";
import { agentLabel, evidenceOf, type Caller, type DoorServices } from "./services.ts";

/** Answers that were given before, of the agents that have a rule for it. */
export interface AnswerCache {
  readonly answers: ResponseCache;
  /** Undefined: none of this agent's answers is kept, and it gets none. */
  ruleOf(agent: string): CacheRule | undefined;
}

/** The place of one call in the cache. */
export interface CachePlace {
  readonly cache: ResponseCache;
  readonly rule: CacheRule;
  readonly key: string;
}

/** Undefined when the call is not one whose answer is kept. */
export function placeOf(
  services: DoorServices,
  caller: Caller,
  wire: readonly Json[],
  body: Json,
  { links, chain }: Links,
): CachePlace | undefined {
  const rule = services.cache?.ruleOf(caller.agent);
  const [{ call }] = links;
  // A bound of nothing: an embedding, or a count.
  const repeats = call.temperature === 0 || call.outputTokens === 0;
  if (!services.cache || !rule || (!repeats && !rule.nondeterministic)) return undefined;
  const about = [...wire, chain?.name ?? call.model, call.stream, call.outputTokens];
  return { cache: services.cache.answers, rule, key: ResponseCache.keyOf(rule, about, body) };
}

/**
 * Answers from the cache, if there is an answer by a model that this agent may call. It costs nothing; that it was
 * given, by whom it was asked for first, and how good it is, is on disk before it is told.
 */
export async function answerFromCache(
  services: DoorServices,
  caller: Caller,
  { cache, rule, key }: CachePlace,
  links: readonly Link[],
  response: HttpResponse,
): Promise<boolean> {
  const kept = cache.get(key);
  const link = links.find(({ call }) => call.model === kept?.model);
  if (!kept || !link) return false;
  const { agent, model } = kept;
  const ageMs = Math.max(0, services.clock.nowMs() - kept.atMs);
  const about = { model, scope: rule.scope, first_asked_by: agent, age_ms: ageMs };
  await services.audit.record({
    kind: "model.cached",
    subject: `agent:${caller.agent}`,
    detail: {
      ...{ allow: true, sandbox: caller.sandbox, verb: "model.call", rule: link.rule, ...about, micro_usd: 0 },
      label: { ...agentLabel(agent) },
      ...evidenceOf(services.workOf?.(caller)),
    },
  });
  services.monitor.emit("model.cached", caller.agent, about);
  response.writeHead(200, { ...kept.headers, "x-cordon-cache": "hit", "cache-control": "no-store" });
  for (const piece of kept.pieces) response.write(piece);
  response.end();
  return true;
}

/** Takes down an answer on its way to the agent, as far as one is kept. */
export class AnswerTape {
  readonly #place: CachePlace;
  readonly #agent: string;
  #headers: KeptAnswer["headers"] = {};
  #pieces: Buffer[] = [];
  #bytes = 0;

  constructor(place: CachePlace, agent: string) {
    this.#place = place;
    this.#agent = agent;
  }

  head(headers: KeptAnswer["headers"]): void {
    this.#headers = headers;
  }

  write(bytes: Buffer): void {
    this.#bytes += bytes.length;
    if (this.#bytes > limits.model.cachedAnswerBytesMax) this.#pieces = [];
    // The buffer may be used again for what comes next.
    else this.#pieces.push(Buffer.from(bytes));
  }

  /** The answer was whole. */
  keep(model: string): void {
    if (this.#bytes === 0 || this.#bytes > limits.model.cachedAnswerBytesMax) return;
    const { cache, rule, key } = this.#place;
    cache.put(key, rule, { agent: this.#agent, model, headers: this.#headers, pieces: this.#pieces });
  }
}
