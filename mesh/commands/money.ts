import { createHash } from "node:crypto";
import type { Clock } from "../../lib/clock.ts";
import { canonicalJson, type Json } from "../../lib/json.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import type { BudgetLine } from "../../protocol/desk.ts";
import type { BudgetInput, PriceListReport } from "../../protocol/money.ts";
import { refusal, type Refusal } from "../../protocol/refusal.ts";
import type { Audit } from "../audit/audit.ts";
import { builtInProviders } from "../egress/providers.ts";
import type { DeskMoney } from "../desk/money-routes.ts";
import type { Scope } from "../ledger/ledger.ts";
import { modelCards } from "../ledger/model-cards.ts";
import { CapOverrides } from "../ledger/overrides.ts";
import { readPriceFile, type PriceFile } from "../ledger/price-file.ts";
import { firstRate, type Prices } from "../ledger/prices.ts";
import type { ScopeTree } from "../ledger/scope-tree.ts";
import { dayNames } from "../ledger/spending.ts";
import type { Store } from "../store/store.ts";
import type { Queries } from "../store/queries.ts";

/** Key of the list of prices in the table of facts. */
const PRICE_LIST = "prices.list";

/** The providers of the built-in list, by the names that it has for them. */
export const listedProviders: readonly string[] = [
  ...new Set(Object.values(builtInProviders).flatMap(({ priceList }) => (priceList === null ? [] : [priceList]))),
];

/** The list that an operator has brought in, if any. It was checked when it came; a fault now stops the start. */
export function priceListOf(query: Pick<Queries, "meta">): PriceFile | undefined {
  const text = query.meta.get(PRICE_LIST);
  if (text === undefined) return undefined;
  const read = readPriceFile(Buffer.from(text));
  if (!read.ok) throw new Error(`the list of prices in the state is damaged: ${read.error}`);
  return read.value;
}

/** Checks a list, keeps it with its evidence in one transaction, and then prices by it. A list with a fault changes nothing. */
export async function updatePrices(
  parts: { readonly audit: Audit; readonly prices: Prices; readonly by: string },
  list: Json,
): Promise<Result<PriceListReport, Refusal>> {
  const text = canonicalJson(list);
  const read = readPriceFile(Buffer.from(text));
  if (!read.ok) return err(refusal("malformed", read.error, "correct the list; nothing was changed"));
  const sha256 = createHash("sha256").update(text).digest("hex");
  const { version, models } = read.value;
  const changed: string[] = [];
  let cheaper = 0;
  for (const [name, price] of models) {
    const slash = name.indexOf("/");
    const before = parts.prices.priceOf(name.slice(0, slash), name.slice(slash + 1));
    if (!before) continue;
    const [input, output] = [firstRate(price.input), firstRate(price.output)];
    if (input === firstRate(before.input) && output === firstRate(before.output)) continue;
    changed.push(name);
    if (input < firstRate(before.input) || output < firstRate(before.output)) cheaper++;
  }
  await parts.audit.record(
    {
      kind: "prices.updated",
      subject: parts.by,
      detail: { version, sha256, models: models.size, changed: changed.length, cheaper },
    },
    [["meta.set", PRICE_LIST, text]],
  );
  parts.prices.use(read.value);
  return ok({ version, sha256, models: models.size, changed });
}

interface Lines {
  lines(scopes: readonly Scope[]): BudgetLine[];
}

/** Budgets and prices as an operator changes them while the mesh runs. */
export function openMoney(parts: {
  readonly store: Store;
  readonly audit: Audit;
  readonly clock: Clock;
  readonly scopes: ScopeTree;
  readonly prices: Prices;
  readonly timeZone: string;
  readonly onChange: (change: BudgetInput) => void;
}): { readonly overrides: CapOverrides; desk(ledger: Lines, by: string): DeskMoney } {
  const { store, audit, clock, scopes, prices } = parts;
  const overrides = new CapOverrides((scope) => scopes.caps(scope), store.query.spending.overridesInForce());
  const dayName = dayNames(parts.timeZone);
  prices.use(priceListOf(store.query));
  const desk = (ledger: Lines, by: string): DeskMoney => ({
    today: () => dayName(clock.nowMs()),
    models: (provider) => ({ source: prices.source, models: modelCards(prices, listedProviders, provider) }),
    updatePrices: (list) => updatePrices({ audit, prices, by }, list),
    async setBudget(input) {
      const scope = input.scope as Scope;
      if (!scopes.all.includes(scope))
        return err(refusal("not_found", `the fleet has no \`${input.scope}\``, "see `cordon budget show`"));
      await audit.record({ kind: "budget.changed", subject: by, detail: { ...input } }, [
        overrides.row(input, clock.nowMs(), by),
      ]);
      overrides.apply(input);
      parts.onChange(input);
      const { window, unit } = input;
      const line = ledger
        .lines([scope])
        .find((one) => one.scope === scope && one.window === window && one.unit === unit);
      return ok(line ?? { scope, window, unit, cap: null, settled: 0, reserved: 0 });
    },
  });
  return { overrides, desk };
}
