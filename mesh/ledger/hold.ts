import type { Write } from "../store/store.ts";
import type { HoldRow } from "../store/tables/ledger.ts";
import type { Amount, Scope } from "./ledger.ts";
import type { WindowKind } from "./windows.ts";

/** A reservation that a crash left open, settled at its worst case. */
export interface RecoveredHold {
  readonly id: string;
  readonly scopes: readonly Scope[];
  readonly worst: Amount;
  readonly model: string;
  readonly atMs: number;
}

export interface OpenHold extends RecoveredHold {
  /** The windows it was reserved in, by their start: there it will be settled, also after they ended. */
  readonly windows: Readonly<Record<WindowKind, number>>;
}

export const holdRow = ({ id, scopes, windows, worst, model, atMs }: OpenHold): Write => [
  "ledger.insertHold",
  id,
  JSON.stringify(scopes),
  JSON.stringify(windows),
  worst.tokens,
  worst.microUsd,
  model,
  atMs,
];

export const readHold = (row: HoldRow): OpenHold => ({
  id: row.id,
  scopes: JSON.parse(row.scopes) as Scope[],
  windows: JSON.parse(row.windows) as Record<WindowKind, number>,
  worst: { tokens: row.worstTokens, microUsd: row.worstMicroUsd },
  model: row.model,
  atMs: row.atMs,
});
