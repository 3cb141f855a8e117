import { assert } from "../../lib/assert.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Id } from "../../lib/id.ts";
import { err, ok } from "../../lib/result.ts";
import type { BudgetLine, Costs } from "../../protocol/desk.ts";
import { limits } from "../../protocol/limits.ts";
import type { Audit } from "../audit/audit.ts";
import type { Store, Write } from "../store/store.ts";
import { assertAmount, assertScopes, assertUsage, least, nothing } from "./amount.ts";
import { amountOf, change, Counters, units, type Unit } from "./counters.ts";
import { CurrentWindows } from "./current-windows.ts";
import { holdRow, readHold, type OpenHold, type RecoveredHold } from "./hold.ts";
import type { Amount, BudgetRefusal, Caps, Ledger, Scope } from "./ledger.ts";
import { UsageTotals } from "./usage.ts";
import { windowKinds, type Window, type WindowKind } from "./windows.ts";

export interface LedgerParts {
  readonly store: Store;
  readonly audit: Audit;
  readonly clock: Clock;
  readonly ids: Id;
  /** Asked at every reservation, so that a changed cap holds at once. A unit that is absent has no cap. */
  readonly caps: (scope: Scope) => Caps;
  /** IANA name, for example `Europe/Berlin`. */
  readonly timeZone: string;
}

export interface OpenLedger extends Ledger {
  /** Audited already, as `ledger.recovered`. */
  readonly recovered: readonly RecoveredHold[];
  /** The lines of the current windows, two windows by two units for each scope. */
  lines(scopes: readonly Scope[]): BudgetLine[];
  totals(): Costs["totals"];
}

/** Loads the running totals, and settles what a crash left open, on disk, before it resolves. */
export async function createLedger({ store, audit, clock, ids, caps, timeZone }: LedgerParts): Promise<OpenLedger> {
  const query = store.query;
  const counters = new Counters();
  const windows = new CurrentWindows({
    clock,
    timeZone,
    query,
    onEnd: (kind, startMs) => counters.forgetBefore(kind, startMs),
  });
  const usage = new UsageTotals(query.ledger.usage());
  const holds = new Map<string, OpenHold>();

  /** Ends a hold: what was reserved goes, `cost` of it stays as settled. */
  function end(hold: OpenHold, cost: Amount): Write[] {
    holds.delete(hold.id);
    const writes: Write[] = [["ledger.deleteHold", hold.id]];
    for (const { scope, kind, startMs, unit } of places(hold.scopes, hold.windows)) {
      const worst = amountOf(hold.worst, unit);
      if (worst === 0) continue;
      writes.push(change(counters.at(scope, kind, startMs, unit), { reserved: -worst, settled: amountOf(cost, unit) }));
    }
    return writes;
  }

  function refusal(scopes: readonly Scope[], wanted: Amount, open: OpenWindows): BudgetRefusal | undefined {
    for (const { scope, kind, startMs, unit } of places(scopes, starts(open))) {
      const { settled, reserved } = counters.peek(scope, kind, startMs, unit);
      const cap = capOf(caps(scope), kind, unit) ?? Number.MAX_SAFE_INTEGER;
      const left = cap - settled - reserved;
      if (amountOf(wanted, unit) <= left) continue;
      const resetsAtMs = open[kind].endMs;
      return {
        scope,
        window: kind,
        unit,
        cap,
        settled,
        left: Math.max(0, left),
        wanted: amountOf(wanted, unit),
        resetsAtMs,
      };
    }
    return undefined;
  }

  const ledger: Omit<OpenLedger, "recovered"> = {
    reserve(scopes, worst, model) {
      assertScopes(scopes);
      assertAmount(worst);
      assert(model.length <= limits.ledger.modelCharsMax, "a model name is short");
      const open = windows.now();
      const refused = refusal(scopes, worst, open);
      if (refused) return err(refused);
      const at = starts(open);
      const hold: OpenHold = {
        id: ids.next("hold"),
        scopes: [...scopes],
        windows: at,
        worst,
        model,
        atMs: clock.nowMs(),
      };
      assert(!holds.has(hold.id), "a hold has an id of its own");
      holds.set(hold.id, hold);
      const writes: Write[] = [holdRow(hold)];
      for (const { scope, kind, startMs, unit } of places(scopes, at)) {
        const amount = amountOf(worst, unit);
        if (amount > 0) writes.push(change(counters.at(scope, kind, startMs, unit), { reserved: amount, settled: 0 }));
      }
      return ok({ id: hold.id, worst, writes });
    },

    left(scopes) {
      assertScopes(scopes);
      const smallest: Record<Unit, number> = { tokens: Infinity, usd: Infinity };
      for (const { scope, kind, startMs, unit } of places(scopes, starts(windows.now()))) {
        const cap = capOf(caps(scope), kind, unit);
        if (cap === undefined) continue;
        const { settled, reserved } = counters.peek(scope, kind, startMs, unit);
        smallest[unit] = Math.min(smallest[unit], Math.max(0, cap - settled - reserved));
      }
      return { tokens: smallest.tokens, microUsd: smallest.usd };
    },

    settle(holdId, reported) {
      assertUsage(reported);
      const hold = holds.get(holdId);
      if (!hold) return { writes: [], above: nothing };
      const cost = least(reported.cost, hold.worst);
      const above = { tokens: reported.cost.tokens - cost.tokens, microUsd: reported.cost.microUsd - cost.microUsd };
      const writes = end(hold, cost);
      for (const scope of hold.scopes) writes.push(usage.add(scope, hold.model, reported, cost.microUsd));
      return { writes, above };
    },

    release(holdId) {
      const hold = holds.get(holdId);
      return { writes: hold ? end(hold, nothing) : [] };
    },

    lines(scopes) {
      return places(scopes, starts(windows.now())).map(({ scope, kind, startMs, unit }) => {
        const { settled, reserved } = counters.peek(scope, kind, startMs, unit);
        return { scope, window: kind, unit, cap: capOf(caps(scope), kind, unit) ?? null, settled, reserved };
      });
    },

    totals: () =>
      usage
        .all()
        .flatMap(({ scope, ...total }) =>
          scope.startsWith("agent:") ? [{ agent: scope.slice("agent:".length), ...total }] : [],
        ),
  };

  async function recover(): Promise<RecoveredHold[]> {
    const left = query.ledger.holds().map(readHold);
    const open = starts(windows.now());
    for (const kind of windowKinds) {
      for (const startMs of new Set([open[kind], ...left.map((hold) => hold.windows[kind])])) {
        counters.load(query.ledger.counters(kind, startMs));
      }
    }
    const recorded = left.map((hold) => {
      const writes = end(hold, hold.worst);
      const unknown = { inputTokens: 0, outputTokens: 0 };
      for (const scope of hold.scopes) writes.push(usage.add(scope, hold.model, unknown, hold.worst.microUsd));
      const detail = { hold: hold.id, scopes: hold.scopes, model: hold.model, ...hold.worst };
      return audit.record({ kind: "ledger.recovered", subject: "mesh", detail }, writes);
    });
    await Promise.all(recorded);
    return left;
  }
  return { ...ledger, recovered: await recover() };
}

type OpenWindows = Readonly<Record<WindowKind, Window>>;

const starts = (open: OpenWindows): Record<WindowKind, number> => ({
  day: open.day.startMs,
  month: open.month.startMs,
});

/** Every counter that a reservation touches. */
function places(scopes: readonly Scope[], at: Readonly<Record<WindowKind, number>>) {
  return scopes.flatMap((scope) =>
    windowKinds.flatMap((kind) => units.map((unit) => ({ scope, kind, startMs: at[kind], unit }))),
  );
}

function capOf(caps: Caps, kind: WindowKind, unit: Unit): number | undefined {
  const cap = caps[kind][unit];
  assert(cap === undefined || (Number.isSafeInteger(cap) && cap >= 0), "a cap is a natural number");
  return cap;
}
