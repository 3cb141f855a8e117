import type { Costs } from "../../protocol/desk.ts";
import { verifyAudit } from "../audit/verify.ts";
import type { MeshOptions } from "../main.ts";
import { openReadOnly } from "../store/open.ts";
import type { Queries } from "../store/queries.ts";
import { countersOf } from "../store/tables/ledger.ts";
import { keyOpenerOf } from "./key-opener.ts";
import { existingKey } from "./state-key.ts";
import { existingState } from "./state.ts";

/** `verify`: reads the whole audit of a mesh that is not running. Exit code 1 when it is not whole. */
export async function verify({ state, ...options }: MeshOptions): Promise<number> {
  const folder = existingState(state);
  const store = openReadOnly(folder);
  try {
    const key = existingKey(store.query, folder, await keyOpenerOf(folder, options));
    const verdict = await verifyAudit(store.query, { publicKey: key.auditSigner.publicKey, macKey: key.auditMac });
    process.stdout.write(`${JSON.stringify(verdict)}\n`);
    return verdict.ok ? 0 : 1;
  } finally {
    store.close();
  }
}

/** `costs`: what the ledger of a mesh that is not running holds; the caps stand in the fleet file only. */
export function costs({ state }: MeshOptions): number {
  const store = openReadOnly(existingState(state));
  try {
    process.stdout.write(`${JSON.stringify(costsOf(store.query.ledger))}\n`);
    return 0;
  } finally {
    store.close();
  }
}

function costsOf(ledger: Queries["ledger"]): Costs {
  const newest = (["day", "month"] as const).flatMap((window) => {
    const startMs = ledger.newestWindowStartMs(window);
    return startMs === undefined ? [] : ledger.totals(window, startMs).flatMap(countersOf);
  });
  const usage = ledger.usage();
  return {
    currency: "micro-USD",
    priceSource: "as recorded",
    lines: newest.map(({ scope, window, unit, settled, reserved }) => ({
      ...{ scope, window, unit, settled, reserved },
      cap: null,
    })),
    scopes: usage,
    totals: usage
      .filter((row) => row.scope.startsWith("agent:"))
      .map(({ scope, ...total }) => ({ agent: scope.slice("agent:".length), ...total })),
  };
}
