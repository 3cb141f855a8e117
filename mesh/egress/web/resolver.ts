import { lookup } from "node:dns/promises";
import type { Clock } from "../../../lib/clock.ts";
import { err, ok, type Result } from "../../../lib/result.ts";
import type { Soon } from "../../../lib/soon.ts";
import { limits } from "../../../protocol/limits.ts";
import { refusal, type Refusal } from "../../../protocol/refusal.ts";
import { notPublic } from "./address.ts";
import type { Authority } from "./authority.ts";

/** Name → addresses. Rejects when there are none. */
export interface Resolver {
  resolve(host: string): Promise<readonly string[]>;
}

/** The mesh host's own; sandboxes have none. */
export const systemResolver: Resolver = {
  resolve: async (host) => (await lookup(host, { all: true, order: "ipv4first" })).map(({ address }) => address),
};

/** What has been resolved and checked is dialled, and nothing else: a second answer is never asked for in between. */
export class Pinning {
  readonly #resolver: Resolver;
  readonly #clock: Clock;
  readonly #answers = new Map<string, { readonly untilMs: number; readonly addresses: readonly string[] }>();

  /** Under way: the system's resolver holds a thread for each, of the few that files and providers' names need as well. */
  #asking = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(resolver: Resolver, clock: Clock) {
    this.#resolver = resolver;
    this.#clock = clock;
  }

  /**
   * The addresses to dial, in order. `named` is the one that the rule names for this host. Under a rule with a star the
   * agent chooses names, and a name that is asked for has left the mesh: `mayAsk` bounds how many.
   */
  pin(
    { host, literal }: Authority,
    named: string | null,
    mayAsk: () => boolean,
  ): Soon<Result<readonly string[], Refusal>> {
    // The rule names this very address, in its host or beside it.
    if (named !== null) return ok([named]);
    const known = literal ? [host] : this.#known(host);
    if (known) return this.#public(host, known);
    if (!mayAsk()) return err(refusal("rate_limited", "too many new names from this sandbox", "ask for fewer hosts"));
    return this.#resolve(host).then((found) => this.#public(host, found));
  }

  #public(host: string, found: readonly string[]): Result<readonly string[], Refusal> {
    if (found.length === 0)
      return err(
        refusal("upstream_failed", `\`${host}\` has no address`, "check the name, and the mesh host's resolver"),
      );
    // One bad address is enough: what answers so is misconfigured, or rebinds.
    for (const address of found) {
      const what = notPublic(address);
      if (what !== undefined)
        return err(
          refusal(
            "denied",
            `\`${host}\` is at ${address.slice(0, 64)}, which is not public: ${what}`,
            `name that very address: \`address: ${address.slice(0, 64)}\` in the rule of \`reach\``,
          ),
        );
    }
    return ok(found.slice(0, limits.web.addressesDialledMax));
  }

  async #resolve(host: string): Promise<readonly string[]> {
    const known = this.#known(host);
    if (known) return known;
    this.#answers.delete(host);
    const stop = new AbortController();
    const late = this.#clock.sleep(limits.web.resolveTimeoutMs, stop.signal).then(
      () => [],
      () => [],
    );
    const addresses = await Promise.race([this.#ask(host, stop.signal), late]);
    stop.abort();
    if (addresses.length === 0) return [];
    if (this.#answers.size >= limits.web.namesCachedMax) this.#answers.delete(this.#answers.keys().next().value ?? "");
    this.#answers.set(host, { untilMs: this.#clock.monotonicMs() + limits.web.nameCachedMs, addresses });
    return addresses;
  }

  /** In turn; who has stopped waiting is passed over. */
  async #ask(host: string, stop: AbortSignal): Promise<readonly string[]> {
    if (this.#asking < limits.web.namesAskedConcurrentMax) this.#asking++;
    else await new Promise<void>((begin) => this.#waiting.push(begin));
    try {
      return stop.aborted ? [] : await this.#resolver.resolve(host);
    } catch {
      return [];
    } finally {
      // The turn goes to the next one as it is.
      const next = this.#waiting.shift();
      if (next) next();
      else this.#asking--;
    }
  }

  #known(host: string): readonly string[] | undefined {
    const answer = this.#answers.get(host);
    return answer && answer.untilMs > this.#clock.monotonicMs() ? answer.addresses : undefined;
  }
}
