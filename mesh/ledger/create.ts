import type { Clock } from "../../lib/clock.ts";
import type { Id } from "../../lib/id.ts";
import type { BudgetLine, Costs } from "../../protocol/desk.ts";
import type { Audit } from "../audit/audit.ts";
import type { Store } from "../store/store.ts";
import { Book } from "./book.ts";
import type { RecoveredHold } from "./hold.ts";
import type { Caps, Ledger, Scope } from "./ledger.ts";
import type { BudgetNotice } from "./notices.ts";
import { budgetLines } from "./lines.ts";
import { recover } from "./recover.ts";

export interface LedgerParts {
  readonly store: Store;
  readonly audit: Audit;
  readonly clock: Clock;
  readonly ids: Id;
  /** Asked at every reservation, so that a changed cap holds at once. A unit that is absent has no cap. */
  readonly caps: (scope: Scope) => Caps;
  /** IANA name, for example `Europe/Berlin`. */
  readonly timeZone: string;
  /** Warnings and forecasts, each once a window. */
  readonly onNotice?: (notice: BudgetNotice) => void;
  /** Of simulations. */
  readonly journalOpsMax?: number;
}

export interface OpenLedger extends Ledger {
  /** Audited already, as `ledger.recovered`. */
  readonly recovered: readonly RecoveredHold[];
  /** The lines of the current windows: tokens and money of day and month for each scope, and what else has a cap. */
  lines(scopes: readonly Scope[]): BudgetLine[];
  totals(): Costs["totals"];
  /** Since the state was made, by scope and model; runs and steps are in their lines only. */
  usage(): NonNullable<Costs["scopes"]>;
}

/** Loads the running totals, and settles what a crash left open, on disk, before it resolves. */
export async function createLedger(parts: LedgerParts): Promise<OpenLedger> {
  const book = new Book(parts);
  const recovered = await recover(book, parts);
  return {
    recovered,
    reserve: (scopes, worst, model, sent) => book.reserve(scopes, worst, model, sent),
    spend: (scopes, departed) => book.spend(scopes, departed),
    left: (scopes, destination) => book.left(scopes, destination),
    settle: (hold, usage, more) => book.settle(hold, usage, more),
    release: (hold, more) => book.release(hold, more),
    correct: (holdId, usage) => book.correct(holdId, usage),
    openScope: (scope, caps) => book.openScope(scope, caps),
    closeScope: (scope) => book.closeScope(scope),
    lines: (scopes) => budgetLines(book.places, scopes),
    usage: () => book.usage.all(),
    totals: () =>
      book.usage
        .all()
        .flatMap(({ scope, ...total }) =>
          scope.startsWith("agent:") ? [{ agent: scope.slice("agent:".length), ...total }] : [],
        ),
  };
}
