import type { Row } from "../store/store.ts";
import type { HoldRow } from "../store/tables/ledger.ts";
import type { Quantities } from "./amount.ts";
import type { Amount, Hold, Scope } from "./ledger.ts";
import type { Form, Forms } from "./forms.ts";
import type { PlaceKey } from "./places.ts";
import type { WindowKind } from "./windows.ts";

/** A reservation that a crash left open, settled at its worst case. */
export interface RecoveredHold {
  readonly id: string;
  readonly scopes: readonly Scope[];
  readonly worst: Amount;
  readonly model: string;
  readonly atMs: number;
}

/** Where the journal keeps a hold: said since it was emptied, said once more at its beginning, or as a row. */
type Kept = "said" | "carried" | "row" | "ended";

interface HoldParts extends Hold {
  readonly form: Form;
  readonly places: readonly PlaceKey[];
  readonly held: Readonly<Quantities>;
  readonly atMs: number;
  readonly kept: Kept;
}

/** Knows itself whether it has ended: to look for it among all that are open would cost as much as to decide. */
export class OpenHold implements Hold {
  readonly id: string;
  readonly worst: Amount;
  readonly writes: Hold["writes"];
  readonly form: Form;
  /** Where it was reserved: there it will be settled, also after those windows have ended. */
  readonly places: readonly PlaceKey[];
  /** What is reserved in each place. */
  readonly held: Readonly<Quantities>;
  readonly atMs: number;
  kept: Kept;
  readonly #ledger: object;

  constructor(ledger: object, parts: HoldParts) {
    this.id = parts.id;
    this.worst = parts.worst;
    this.writes = parts.writes;
    this.form = parts.form;
    this.places = parts.places;
    this.held = parts.held;
    this.atMs = parts.atMs;
    this.kept = parts.kept;
    this.#ledger = ledger;
  }

  /** False also of a copy, and of a hold of another ledger. */
  static isOpen(hold: Hold, ledger: object): hold is OpenHold {
    return #ledger in hold && hold.#ledger === ledger && hold.kept !== "ended";
  }
}

export const recoveredHold = (hold: OpenHold): RecoveredHold => ({
  ...{ id: hold.id, scopes: hold.form.scopes, worst: hold.worst, model: hold.form.model, atMs: hold.atMs },
});

export const holdRow = ({ id, form, held, atMs }: OpenHold): Row => [
  ...(["ledger.insertHold", id, form.scopesText, form.placesText] as const),
  ...[held.tokens, held.usd, held.requests, held.bytes],
  ...[form.model, atMs, form.credential, form.price, form.run],
];

export const deleteHoldRow = ({ atMs, id }: OpenHold): Row => ["ledger.deleteHold", atMs, id];

export const readPlaces = (text: string): PlaceKey[] =>
  (JSON.parse(text) as [Scope, PlaceKey["window"], number][]).map(([scope, window, startMs]) => ({
    scope,
    window,
    startMs,
  }));

export function readHold(row: HoldRow, forms: Forms, ledger: object): OpenHold {
  const scopes = JSON.parse(row.scopes) as Scope[];
  const places = row.windows.startsWith("{") ? firstForm(scopes, row.windows) : readPlaces(row.windows);
  const held = { tokens: row.worstTokens, usd: row.worstMicroUsd, requests: row.requests, bytes: row.bytes };
  const worst = { tokens: held.tokens, microUsd: held.usd };
  const form = forms.of(scopes, places, row);
  const { id, atMs } = row;
  return new OpenHold(ledger, { id, worst, writes: [], form, places, held, atMs, kept: "row" });
}

/** Before there were other windows, a hold named the start of its day and its month. */
function firstForm(scopes: readonly Scope[], text: string): PlaceKey[] {
  const { day, month } = JSON.parse(text) as Record<WindowKind, number>;
  return scopes.flatMap((scope) => [
    { scope, window: "day" as const, startMs: day },
    { scope, window: "month" as const, startMs: month },
  ]);
}
