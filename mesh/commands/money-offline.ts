import { systemClock as clock } from "../../lib/clock.ts";
import { parseJson } from "../../lib/json.ts";
import { limits } from "../../protocol/limits.ts";
import { createAudit } from "../audit/create.ts";
import { budgetHistory, spending as spendingOf } from "../desk/money-routes.ts";
import { operator } from "../desk/services.ts";
import { modelCards } from "../ledger/model-cards.ts";
import { createPrices } from "../ledger/prices.ts";
import type { MeshOptions } from "../main.ts";
import { openReadOnly, openStore } from "../store/open.ts";
import type { Queries } from "../store/queries.ts";
import { CommandError } from "./failure.ts";
import { listedProviders, priceListOf, updatePrices } from "./money.ts";
import { openKey } from "./state-key.ts";
import { existingState, stateFolder } from "./state.ts";

/** `spending BY [SINCE]`: what a mesh that is not running has spent on each day. */
export function spending({ state }: MeshOptions, [by = "agent", since = ""]: readonly string[]): number {
  return readState(state, (query) => {
    const found = spendingOf(query, by, since, "");
    if (!found.ok) throw new CommandError(`${found.error.reason}: ${found.error.remedy}`);
    const newest = query.spending.days("model", "0000-01-01", limits.ledger.spendingRowsMax).at(-1)?.day;
    return { ...found.value, today: newest ?? new Date(clock.nowMs()).toISOString().slice(0, 10) };
  });
}

/** `budgets`: the caps that were set while the mesh ran. */
export const budgets = ({ state }: MeshOptions): number => readState(state, (query) => budgetHistory(query));

/** `models [PROVIDER]`: prices as they hold without a fleet file. */
export function models({ state }: MeshOptions, [provider]: readonly string[]): number {
  const prices = createPrices({ clock });
  const show = (): object => ({ source: prices.source, models: modelCards(prices, listedProviders, provider) });
  try {
    return readState(state, (query) => {
      prices.use(priceListOf(query));
      return show();
    });
  } catch (error) {
    // Nobody has to have a state to look at prices.
    if (!(error instanceof CommandError)) throw error;
    process.stdout.write(`${JSON.stringify(show())}\n`);
    return 0;
  }
}

/** `prices`: takes a list from standard input into the state of a mesh that is not running. */
export async function prices({ state }: MeshOptions): Promise<number> {
  const list = parseJson(await readList(), limits.door.jsonDepthMax);
  if (!list.ok) throw new CommandError(`the list is not JSON: ${list.error}`);
  const folder = stateFolder(state);
  const store = await openStore({ path: folder });
  try {
    const key = await openKey(store, folder);
    const audit = createAudit({ store, clock, signer: key.auditSigner, macKey: key.auditMac });
    try {
      const before = createPrices({ clock });
      before.use(priceListOf(store.query));
      const report = await updatePrices({ audit, prices: before, by: operator }, list.value);
      if (!report.ok) throw new CommandError(`${report.error.reason}: ${report.error.remedy}`);
      process.stdout.write(`${JSON.stringify(report.value)}\n`);
      return 0;
    } finally {
      await audit.close();
    }
  } finally {
    await store.close();
  }
}

async function readList(): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of process.stdin as AsyncIterable<Buffer>) {
    bytes += piece.length;
    if (bytes > limits.ledger.priceFileBytesMax)
      throw new CommandError(`the list has more than ${limits.ledger.priceFileBytesMax} bytes: leave out models`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

function readState(state: string | undefined, look: (query: Queries) => object): number {
  const store = openReadOnly(existingState(state));
  try {
    process.stdout.write(`${JSON.stringify(look(store.query))}\n`);
    return 0;
  } finally {
    store.close();
  }
}
