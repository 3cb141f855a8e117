/** What a simulation stands in for: time, ids, keys, and a folder that goes away with the test. */
import { generateKeyPairSync, sign } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "../../lib/clock.ts";
import type { Id } from "../../lib/id.ts";
import { Secret } from "../../lib/redact.ts";
import { createAudit } from "../../mesh/audit/create.ts";
import type { AuditSigner } from "../../mesh/audit/chain.ts";
import { createLedger } from "../../mesh/ledger/create.ts";
import type { Caps, Scope } from "../../mesh/ledger/ledger.ts";
import { openStore, type StoreOptions } from "../../mesh/store/open.ts";

interface TestLike {
  after(cleanUp: () => void): void;
}

export function stateFolder(t: TestLike): string {
  const folder = mkdtempSync(join(tmpdir(), "cordon-simulation-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Stands still until it is moved; sleepers wake when it has passed their time. */
export class SimulatedClock implements Clock {
  #nowMs: number;
  #monotonicMs = 0;
  readonly #sleepers = new Set<{ readonly atMs: number; readonly wake: () => void }>();

  constructor(at: string) {
    this.#nowMs = Date.parse(at);
  }

  nowMs(): number {
    return this.#nowMs;
  }
  monotonicMs(): number {
    return this.#monotonicMs;
  }
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const sleeper = { atMs: this.#monotonicMs + ms, wake: resolve };
      this.#sleepers.add(sleeper);
      signal?.addEventListener("abort", () => {
        this.#sleepers.delete(sleeper);
        reject(signal.reason);
      });
    });
  }

  /** The wall clock jumps, also back; no time passes. */
  jumpTo(at: string | number): void {
    this.#nowMs = typeof at === "number" ? at : Date.parse(at);
  }
  pass(ms: number): void {
    this.#nowMs += ms;
    this.#monotonicMs += ms;
    for (const sleeper of this.#sleepers) {
      if (sleeper.atMs > this.#monotonicMs) continue;
      this.#sleepers.delete(sleeper);
      sleeper.wake();
    }
  }
}

/** Unique over reopenings of one state when each gets a run of its own. */
export function countingIds(run = 0): Id {
  let count = 0;
  return { next: (prefix) => `${prefix}_${run}n${count++}` };
}

export function auditKeys(): { readonly signer: AuditSigner; readonly macKey: Secret } {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  return {
    signer: {
      sign: (bytes) => sign(null, bytes, privateKey),
      publicKey: publicKey.export({ format: "der", type: "spki" }),
    },
    macKey: new Secret(new Uint8Array(32).fill(7)),
  };
}

export interface World {
  readonly path: string;
  readonly clock: SimulatedClock;
  readonly keys: ReturnType<typeof auditKeys>;
  readonly caps: (scope: Scope) => Caps;
  readonly run?: number;
  readonly timeZone?: string;
  readonly mode?: "worker" | "inline";
  readonly faults?: StoreOptions["faults"];
  /** Operations by which the tables of the ledger may be behind its journal. */
  readonly journalOpsMax?: number;
}

/** The core of the mesh on one state, as main wires it. */
export async function openCore(world: World) {
  const { path, clock, keys, caps, run, timeZone = "UTC", mode = "inline", faults, journalOpsMax } = world;
  const store = await openStore({ path, mode, ...(faults ? { faults } : {}) });
  try {
    const audit = createAudit({ store, clock, ...keys });
    const ledger = await createLedger({
      ...{ store, audit, clock, ids: countingIds(run), caps, timeZone },
      ...(journalOpsMax === undefined ? {} : { journalOpsMax }),
    });
    return { store, audit, ledger };
  } catch (error) {
    await store.close();
    throw error;
  }
}

export const noCaps: Caps = { day: {}, month: {} };
