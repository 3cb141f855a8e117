import type { Clock } from "../../../lib/clock.ts";
import { err, ok, type Result } from "../../../lib/result.ts";
import { limits } from "../../../protocol/limits.ts";
import type { Monitor } from "../../monitor/monitor.ts";
import type { Vault } from "../../vault/vault.ts";
import type { Minted, MintFault, SecretSource } from "./source.ts";

/** `everyMs`: how often to ask a source that does not say when its values end. */
export interface Kept {
  readonly source: SecretSource;
  readonly everyMs: number;
}

/**
 * Keeps credentials of the vault fresh from their sources: before they end, one request at a time, with growing pauses
 * while a source fails. The name, by which agents' requests get the value, stays.
 */
export class CredentialKeeper {
  readonly #vault: Vault;
  readonly #clock: Clock;
  readonly #monitor: Pick<Monitor, "emit">;
  /** From 0 to 1: so that many meshes do not ask at the same moment. */
  readonly #chance: () => number;
  readonly #kept: ReadonlyMap<string, Kept>;
  readonly #underWay = new Map<string, Promise<Result<null, MintFault>>>();
  readonly #wake = new Map<string, () => void>();

  constructor(parts: {
    vault: Vault;
    clock: Clock;
    monitor: Pick<Monitor, "emit">;
    chance: () => number;
    kept: ReadonlyMap<string, Kept>;
  }) {
    this.#vault = parts.vault;
    this.#clock = parts.clock;
    this.#monitor = parts.monitor;
    this.#chance = parts.chance;
    this.#kept = parts.kept;
  }

  has(name: string): boolean {
    return this.#kept.has(name);
  }

  /** Until `signal`. Rejects only when the store has failed. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([...this.#kept].map(([name, kept]) => this.#keep(name, kept, signal)));
  }

  /** A fresh value now; who asks while one is on its way gets that one. */
  refresh(name: string, signal: AbortSignal): Promise<Result<null, MintFault>> {
    const known = this.#underWay.get(name);
    if (known) return known;
    const source = this.#kept.get(name)?.source;
    if (!source)
      return Promise.resolve(
        err({ reason: `\`${name}\` has no source`, fix: "add one to the fleet file", final: true }),
      );
    const turn = this.take(name, () => source.mint(signal)).finally(() => this.#underWay.delete(name));
    this.#underWay.set(name, turn);
    return turn;
  }

  /** Stores what `mint` gives, also of a log-in, and goes on from there; what is revoked meanwhile stays so. */
  async take(name: string, mint: () => Promise<Result<Minted, MintFault>>): Promise<Result<null, MintFault>> {
    const revocations = this.#vault.revocations(name);
    const minted = await mint();
    if (!minted.ok) return minted;
    const { value, expiresInMs } = minted.value;
    const stored = await this.#vault.put(name, value, "mesh", {
      revocations,
      overlapMs: limits.credential.overlapMsDefault,
      ...(expiresInMs !== null && { expiresInMs }),
    });
    value.erase();
    if (!stored.ok) return err({ ...stored.error, final: false });
    this.#monitor.emit("credential.refreshed", null, { credential: name });
    this.#wake.get(name)?.();
    return ok(null);
  }

  /** Something has changed that a source may have waited for, such as a secret that it needs. */
  nudge(): void {
    for (const wake of this.#wake.values()) wake();
  }

  /** Tells the other side, with what the vault holds at this moment. */
  async forget(name: string, signal: AbortSignal): Promise<void> {
    await this.#kept.get(name)?.source.forget?.(signal);
  }

  async #keep(name: string, { everyMs }: Kept, signal: AbortSignal): Promise<void> {
    let failures = 0;
    let pauseMs = this.#freshForMs(name, everyMs);
    while (!signal.aborted) {
      await this.#pause(name, pauseMs, signal);
      if (signal.aborted) return;
      pauseMs = this.#freshForMs(name, everyMs);
      if (pauseMs > 0) {
        failures = 0;
        continue;
      }
      const refreshed = await this.refresh(name, signal);
      if (signal.aborted) return;
      if (refreshed.ok) {
        failures = 0;
        pauseMs = Math.max(this.#freshForMs(name, everyMs), limits.source.pauseMsMin);
      } else {
        const { reason, fix, final } = refreshed.error;
        this.#monitor.emit("credential.refresh_failed", null, { credential: name, reason, fix });
        const { pauseMsMin, pauseMsMax } = limits.source;
        pauseMs = final ? pauseMsMax : Math.min(pauseMsMin * 2 ** failures++, pauseMsMax) * (0.5 + this.#chance() / 2);
      }
    }
  }

  /** Four fifths of what is left of a value's life, or of the interval; 0 = it is time. */
  #freshForMs(name: string, everyMs: number): number {
    // What was revoked stays so until somebody enters a value or logs in.
    if (this.#vault.standing(name) === "revoked") return TIMER_MS_MAX;
    const card = this.#vault.list().find((each) => each.name === name);
    if (card?.standing !== "live") return 0;
    const nowMs = this.#clock.nowMs();
    if (card.expiresAtMs === null) return Math.max(0, card.createdAtMs + everyMs - nowMs);
    return Math.max(0, card.createdAtMs + (card.expiresAtMs - card.createdAtMs) * 0.8 - nowMs);
  }

  /** Ends early when a value has come another way. */
  async #pause(name: string, pauseMs: number, signal: AbortSignal): Promise<void> {
    const woken = new AbortController();
    this.#wake.set(name, () => woken.abort());
    await this.#clock
      .sleep(Math.min(pauseMs, TIMER_MS_MAX), AbortSignal.any([signal, woken.signal]))
      .catch(() => undefined);
    this.#wake.delete(name);
  }
}

/** What a timer can hold. */
const TIMER_MS_MAX = 2_147_483_647;
