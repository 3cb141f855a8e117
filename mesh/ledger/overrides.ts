import { assert } from "../../lib/assert.ts";
import type { Write } from "../store/store.ts";
import type { OverrideRow } from "../store/tables/spending.ts";
import type { Caps, Scope } from "./ledger.ts";

type Setting = Pick<OverrideRow, "scope" | "window" | "unit" | "cap">;

/**
 * Caps that an operator has set since the fleet file was read; they hold from the next reservation on, and over
 * restarts. A cap below what is spent or reserved already takes nothing back: it lets nothing more through.
 */
export class CapOverrides {
  readonly #base: (scope: Scope) => Caps;
  /** By scope, then by `window unit`. */
  readonly #set = new Map<string, Map<string, Setting>>();
  readonly #merged = new Map<string, { readonly base: Caps; readonly caps: Caps }>();

  constructor(base: (scope: Scope) => Caps, inForce: readonly Setting[]) {
    this.#base = base;
    for (const setting of inForce) this.apply(setting);
  }

  caps(scope: Scope): Caps {
    const base = this.#base(scope);
    const set = this.#set.get(scope);
    if (!set) return base;
    const known = this.#merged.get(scope);
    if (known?.base === base) return known.caps;
    const caps = { ...base, day: { ...base.day }, month: { ...base.month } };
    for (const { window, unit, cap } of set.values()) if (cap !== null) caps[window][unit] = cap;
    this.#merged.set(scope, { base, caps });
    return caps;
  }

  /** The row that keeps it; `apply` it when that is on its way to the disk. */
  row({ scope, window, unit, cap }: Setting, atMs: number, by: string): Write {
    return ["budget.insertOverride", scope, window, unit, cap, atMs, by];
  }

  apply(setting: Setting): void {
    const { scope, window, unit, cap } = setting;
    assert(cap === null || (Number.isSafeInteger(cap) && cap >= 0), "a cap is a natural number");
    this.#merged.delete(scope);
    const settings = this.#set.get(scope) ?? new Map<string, Setting>();
    this.#set.set(scope, settings);
    if (cap === null) settings.delete(`${window} ${unit}`);
    else settings.set(`${window} ${unit}`, setting);
    if (settings.size === 0) this.#set.delete(scope);
  }

  isSet({ scope, window, unit }: Pick<Setting, "scope" | "window" | "unit">): boolean {
    return this.#set.get(scope)?.has(`${window} ${unit}`) ?? false;
  }
}
