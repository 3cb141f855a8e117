import type { Row } from "../store/store.ts";
import type { HoldRow } from "../store/tables/ledger.ts";
import type { Quantities } from "./amount.ts";
import type { Amount, Scope } from "./ledger.ts";
import { placeText, type PlaceKey } from "./places.ts";
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
  /** Where it was reserved: there it will be settled, also after those windows have ended. */
  readonly places: readonly PlaceKey[];
  /** The same as JSON. */
  readonly placesText: string;
  readonly requests: number;
  readonly bytes: number;
  readonly credential: string;
  readonly price: string;
  readonly run: string;
}

export const heldBy = ({ worst, requests, bytes }: OpenHold): Quantities => ({
  tokens: worst.tokens,
  usd: worst.microUsd,
  requests,
  bytes,
});

export const holdRow = (hold: OpenHold): Row => [
  "ledger.insertHold",
  hold.id,
  JSON.stringify(hold.scopes),
  hold.placesText,
  hold.worst.tokens,
  hold.worst.microUsd,
  hold.requests,
  hold.bytes,
  hold.model,
  hold.atMs,
  hold.credential,
  hold.price,
  hold.run,
];

export const deleteHoldRow = (id: string): Row => ["ledger.deleteHold", id];

/** In the journal. */
export const holdText = ({ scopes, worst, requests, bytes, model, atMs, credential, price, run }: OpenHold): string =>
  `[${JSON.stringify(scopes)},${worst.tokens},${worst.microUsd},${requests},${bytes},${JSON.stringify(model)},${atMs},` +
  `${JSON.stringify(credential)},${JSON.stringify(price)},${JSON.stringify(run)}]`;

export const placesText = (places: readonly PlaceKey[]): string => `[${places.map(placeText).join()}]`;

export const readPlaces = (text: string): PlaceKey[] =>
  (JSON.parse(text) as [Scope, PlaceKey["window"], number][]).map(([scope, window, startMs]) => ({
    scope,
    window,
    startMs,
  }));

export function readHold(row: HoldRow): OpenHold {
  const scopes = JSON.parse(row.scopes) as Scope[];
  const places = row.windows.startsWith("{") ? firstForm(scopes, row.windows) : readPlaces(row.windows);
  return {
    id: row.id,
    scopes,
    places,
    placesText: placesText(places),
    worst: { tokens: row.worstTokens, microUsd: row.worstMicroUsd },
    requests: row.requests,
    bytes: row.bytes,
    model: row.model,
    atMs: row.atMs,
    credential: row.credential,
    price: row.price,
    run: row.run,
  };
}

/** Before there were other windows, a hold named the start of its day and its month. */
function firstForm(scopes: readonly Scope[], text: string): PlaceKey[] {
  const { day, month } = JSON.parse(text) as Record<WindowKind, number>;
  return scopes.flatMap((scope) => [
    { scope, window: "day" as const, startMs: day },
    { scope, window: "month" as const, startMs: month },
  ]);
}
