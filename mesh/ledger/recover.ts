import type { Clock } from "../../lib/clock.ts";
import type { Audit } from "../audit/audit.ts";
import type { Store } from "../store/store.ts";
import { isRunScope } from "./amount.ts";
import type { Book } from "./book.ts";
import { readHold, recoveredHold, type RecoveredHold } from "./hold.ts";
import { bucketsOf, rollingSpanMs, windowKinds } from "./windows.ts";

/** An estimate whose figure was not found in so long stays what it is. */
const ESTIMATE_KEPT_MS = 40 * 86_400_000;

/** Loads what the open windows hold, and ends what a crash left open at its worst case: on disk when it resolves. */
export async function recover(
  book: Book,
  { store, audit, clock }: { readonly store: Store; readonly audit: Audit; readonly clock: Clock },
): Promise<RecoveredHold[]> {
  const { ledger } = store.query;
  const open = ledger.holds().map((row) => readHold(row, book.forms, book));
  const left = open.map(recoveredHold);
  const now = book.windows.now();
  for (const kind of windowKinds) book.counters.load(ledger.totals(kind, now[kind].startMs));
  for (const name of ledger.windows()) {
    const spanMs = rollingSpanMs(name);
    if (spanMs === undefined) continue;
    const { firstMs, startMs } = bucketsOf(spanMs, book.windows.latestMs());
    book.counters.load(ledger.totals(name, firstMs, startMs));
  }
  for (const place of open.flatMap(({ places }) => places)) book.bring(place);
  book.lookSilently();
  const recorded = open.map((hold) => {
    const { id, scopes, model, worst } = recoveredHold(hold);
    const detail = { hold: id, scopes, model, ...worst };
    return audit.record({ kind: "ledger.recovered", subject: "mesh", detail }, book.endAtWorst(hold));
  });
  if (ledger.oldEstimates(clock.nowMs() - ESTIMATE_KEPT_MS))
    recorded.push(store.commit([["ledger.deleteEstimatesBefore", clock.nowMs() - ESTIMATE_KEPT_MS]]));
  await Promise.all(recorded);
  for (const scope of new Set(left.flatMap((hold) => hold.scopes))) if (isRunScope(scope)) book.closeScope(scope);
  return left;
}
