import type { Clock } from "../../lib/clock.ts";
import { limits } from "../../protocol/limits.ts";
import type { Monitor } from "../monitor/monitor.ts";
import { defaultTenant } from "../store/statements.ts";
import type { Store, Write } from "../store/store.ts";
import { PairUses } from "./uses.ts";

export type Standing = "live" | "expired" | "revoked" | "missing";

/** Who uses a credential, and where it is sent: `agent` is "" for the mesh itself. */
export interface CredentialUse {
  readonly agent: string;
  readonly destination: string;
}

export const nobody: CredentialUse = { agent: "", destination: "" };

/** The uses of one credential, by the minute. */
interface Rate {
  firstUsedAtMs: number;
  hours: number;
  minute: number;
  uses: number;
  usesMax: number;
  told: boolean;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;

/**
 * Notices what a stolen or misused credential looks like, and tells it as events: first use by an agent, more uses in a
 * minute than ever, an hour of the day (UTC) in which it is never used, use of one that was revoked or has expired.
 */
export class CredentialWatch {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #monitor: Pick<Monitor, "emit" | "emitSparsely">;
  readonly #pairs = new Map<string, PairUses>();
  readonly #rates = new Map<string, Rate>();
  readonly #expiryTold = new Map<string, string>();

  constructor(parts: { store: Store; clock: Clock; monitor: Pick<Monitor, "emit" | "emitSparsely"> }) {
    this.#store = parts.store;
    this.#clock = parts.clock;
    this.#monitor = parts.monitor;
    for (const row of this.#store.query.credentials.uses(defaultTenant)) {
      this.#pairs.set(pairKey(row.name, row), new PairUses(row.name, row.agent, row.destination, row.hours));
      if (row.firstUsedAtMs === null) continue;
      const rate = this.#rateOf(row.name, row.firstUsedAtMs);
      rate.firstUsedAtMs = Math.min(rate.firstUsedAtMs, row.firstUsedAtMs);
      rate.hours |= row.hours;
    }
  }

  /** The rows that count a use. */
  used(name: string, use: CredentialUse, atMs: number): readonly Write[] {
    const pair = this.#pair(name, use);
    const rate = this.#rateOf(name, atMs);
    const hour = 1 << (Math.floor(atMs / HOUR_MS) % 24);
    if (pair.hours === 0) this.#tell("credential.first_use", name, use);
    if ((rate.hours & hour) === 0 && atMs - rate.firstUsedAtMs >= limits.credential.hoursLearntMs)
      this.#tell("credential.unusual_hour", name, use);
    rate.hours |= hour;
    this.#count(rate, name, use, Math.floor(atMs / MINUTE_MS));
    return [pair.add(hour, atMs)];
  }

  refused(name: string, use: CredentialUse, standing: Standing): void {
    this.#pair(name, use).refusals++;
    this.#monitor.emitSparsely(`credential.${standing}_use`, use.agent || null, {
      credential: name,
      destination: destinationOf(use),
    });
  }

  /** Once before the end and once at it. */
  tellExpiry(name: string, expiresAtMs: number | null): void {
    if (expiresAtMs === null) return;
    const leftMs = expiresAtMs - this.#clock.nowMs();
    if (leftMs > limits.credential.expiryWarningMs) return;
    const type = leftMs > 0 ? "credential.expiring" : "credential.expired";
    if (this.#expiryTold.get(name) === `${type} ${expiresAtMs}`) return;
    this.#expiryTold.set(name, `${type} ${expiresAtMs}`);
    this.#monitor.emit(type, null, { credential: name, expires: new Date(expiresAtMs).toISOString() });
  }

  /** Refusals are counted here first: one that is refused must not cost a write each time. */
  async flush(): Promise<void> {
    const writes: Write[] = [];
    for (const [key, pair] of this.#pairs) {
      if (pair.refusals === 0) continue;
      const [name = "", agent = "", destination = ""] = key.split("\n");
      writes.push(["credentialUses.refuse", defaultTenant, name, agent, destination, pair.refusals]);
      pair.refusals = 0;
    }
    if (writes.length > 0) await this.#store.commit(writes);
  }

  #count(rate: Rate, name: string, use: CredentialUse, minute: number): void {
    if (rate.minute !== minute) {
      rate.usesMax = Math.max(rate.usesMax, rate.uses);
      [rate.minute, rate.uses, rate.told] = [minute, 0, false];
    }
    rate.uses++;
    const { unusualTimes, unusualUsesMin } = limits.credential;
    if (rate.told || rate.usesMax === 0 || rate.uses < Math.max(unusualUsesMin, unusualTimes * rate.usesMax)) return;
    rate.told = true;
    this.#tell("credential.unusual_rate", name, use, { per_minute: rate.uses, most_before: rate.usesMax });
  }

  #pair(name: string, use: CredentialUse): PairUses {
    const destination = destinationOf(use);
    const key = pairKey(name, { agent: use.agent, destination });
    const pair = this.#pairs.get(key) ?? new PairUses(name, use.agent, destination);
    // Destinations can be many; what is forgotten here is only told once more.
    if (this.#pairs.size >= limits.credential.pairsMax) this.#pairs.delete(this.#pairs.keys().next().value ?? "");
    this.#pairs.set(key, pair);
    return pair;
  }

  #rateOf(name: string, firstUsedAtMs: number): Rate {
    const rate = this.#rates.get(name) ?? { firstUsedAtMs, hours: 0, minute: 0, uses: 0, usesMax: 0, told: false };
    this.#rates.set(name, rate);
    return rate;
  }

  #tell(type: string, credential: string, use: CredentialUse, more: { readonly [key: string]: number } = {}): void {
    this.#monitor.emit(type, use.agent || null, { credential, destination: destinationOf(use), ...more });
  }
}

const destinationOf = ({ destination }: CredentialUse): string =>
  destination.slice(0, limits.credential.destinationCharsMax);
const pairKey = (name: string, { agent, destination }: CredentialUse): string => `${name}\n${agent}\n${destination}`;
