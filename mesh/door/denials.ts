import type { Clock } from "../../lib/clock.ts";
import type { Json } from "../../lib/json.ts";
import { limits } from "../../protocol/limits.ts";
import type { Audit } from "../audit/audit.ts";
import { TokenBucket } from "../http/bucket.ts";
import type { Caller } from "./services.ts";

/**
 * The evidence of refusals. The first ones of a sandbox are recorded one by one; of a flood, one record a second
 * with the count, so that asking for what is forbidden does not fill the disk. Nothing hangs on a refusal's record:
 * it permits nothing.
 */
export class Denials {
  readonly #clock: Clock;
  readonly #audit: Audit;
  readonly #bucket: TokenBucket;
  readonly #caller: Caller;
  #withheld = 0;

  constructor(parts: { readonly clock: Clock; readonly audit: Audit }, caller: Caller) {
    this.#clock = parts.clock;
    this.#audit = parts.audit;
    this.#caller = caller;
    this.#bucket = new TokenBucket(parts.clock, limits.door.denialsBurst, limits.door.denialsPerSecond);
  }

  /** Resolves when the refusal is on disk, or counted for the record that follows. */
  async record(detail: { readonly [key: string]: Json }): Promise<void> {
    if (this.#bucket.take()) return this.#write(detail);
    this.#withheld++;
    if (this.#withheld > 1) return;
    this.#clock
      .sleep(limits.door.denialsTellMs)
      .then(() => {
        const times = this.#withheld;
        this.#withheld = 0;
        return this.#write({ code: "many", reason: "refusals that came too fast to be recorded one by one", times });
      })
      // A store that fails ends the mesh by itself.
      .catch(() => {});
  }

  #write(detail: { readonly [key: string]: Json }): Promise<void> {
    const { agent, sandbox } = this.#caller;
    return this.#audit.record({
      kind: "decision",
      subject: `agent:${agent}`,
      detail: { allow: false, sandbox, ...detail },
    });
  }
}

/** The denials of each caller, as long as its door stands. */
export function denialsByCaller(parts: ConstructorParameters<typeof Denials>[0]): (caller: Caller) => Denials {
  const known = new WeakMap<Caller, Denials>();
  return (caller) => {
    const denials = known.get(caller) ?? new Denials(parts, caller);
    known.set(caller, denials);
    return denials;
  };
}
