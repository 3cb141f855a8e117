import { limits } from "../../protocol/limits.ts";
import type { Row } from "../store/store.ts";
import { isRunScope } from "./amount.ts";
import type { Scope } from "./ledger.ts";
import { placeText, type PlaceKey } from "./places.ts";
import type { Added } from "./spending.ts";
import type { UsageTotal } from "./usage.ts";

/** Whom and what a call is for, besides its scopes. Empty: nobody and nothing is named. */
export interface About {
  readonly model: string;
  readonly credential: string;
  readonly price: string;
  readonly run: string;
}

/** The columns of `usage_day` up to its counts. */
export type DayColumns = readonly (string | number)[];
type DayOf = (about: About & { readonly places: readonly PlaceKey[] }) => DayColumns;

export const aboutNothing: About = { model: "", credential: "", price: "", run: "" };

/** What many operations have in common: made once, and written once for all of them (`ledgerForms`). */
export class Form implements About {
  readonly id: number;
  readonly places: readonly PlaceKey[];
  readonly scopes: readonly Scope[];
  readonly placesText: string;
  readonly scopesText: string;
  readonly model: string;
  readonly credential: string;
  readonly price: string;
  readonly run: string;
  /** Those that a sum of usage is kept for. */
  readonly charged: readonly Scope[];
  /** The emptying of the journal since which it is written, or goes out with the next transaction. */
  writtenSince = -1;
  readonly day: DayColumns;
  /** What was spent since the tables were last written: of `DailySpending`. */
  added: Added | undefined;
  /** The sums of usage of those that are charged: of `UsageTotals`. */
  totals: readonly UsageTotal[] | undefined;

  constructor(
    id: number,
    scopes: readonly Scope[],
    places: readonly PlaceKey[],
    { text, day, about }: { readonly text: string; readonly day: DayColumns; readonly about: About },
  ) {
    this.id = id;
    this.scopes = scopes;
    this.places = places;
    this.placesText = text;
    this.scopesText = JSON.stringify(scopes);
    ({ model: this.model, credential: this.credential, price: this.price, run: this.run } = about);
    this.day = day;
    this.charged = scopes.filter((scope) => !isRunScope(scope));
  }

  row(): Row {
    const { id, placesText, scopesText, model, credential, price, run, day, charged } = this;
    return [
      "ledger.insertForm",
      ...[id, placesText, scopesText, model, credential, price, run],
      JSON.stringify(day),
      JSON.stringify(charged),
    ];
  }

  is(places: readonly PlaceKey[], { model, credential, price, run }: About): boolean {
    if (this.model !== model || this.credential !== credential || this.price !== price || this.run !== run)
      return false;
    if (this.places === places) return true;
    if (this.places.length !== places.length) return false;
    for (let at = 0; at < places.length; at++) if (places[at] !== this.places[at]) return false;
    return true;
  }
}

const { formsOfScopesMax, formsMax } = limits.ledger;

/** Finds the form of an operation: by what nobody can change and is there already, or by its text. */
export class Forms {
  #last = 0;
  readonly #day: DayOf;
  readonly #byScopes = new WeakMap<readonly Scope[], Form[]>();
  readonly #byText = new Map<string, Form>();

  constructor(day: DayOf) {
    this.#day = day;
  }

  of(scopes: readonly Scope[], places: readonly PlaceKey[], about: About): Form {
    const own = this.#byScopes.get(scopes);
    for (let at = 0; at < (own?.length ?? 0); at++) if (own?.[at]?.is(places, about)) return own[at] as Form;
    const form = this.#textual(scopes, places, about);
    if (!Object.isFrozen(scopes) || own?.includes(form)) return form;
    // Those of days that are over are not asked for again.
    if (own && own.length < formsOfScopesMax) own.push(form);
    else this.#byScopes.set(scopes, [form]);
    return form;
  }

  #textual(scopes: readonly Scope[], places: readonly PlaceKey[], about: About): Form {
    const text = placesText(places);
    const { model, credential, price, run } = about;
    const key = JSON.stringify([scopes, text, model, credential, price, run]);
    const known = this.#byText.get(key);
    if (known) return known;
    if (this.#byText.size >= formsMax) this.#byText.clear();
    const day = this.#day({ model, credential, price, run, places });
    const own = Object.isFrozen(scopes) ? scopes : [...scopes];
    const form = new Form(++this.#last, own, places, { text, day, about });
    this.#byText.set(key, form);
    return form;
  }
}

const placesText = (places: readonly PlaceKey[]): string => `[${places.map(placeText).join()}]`;
