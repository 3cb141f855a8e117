import { randomBytes } from "node:crypto";
import { join } from "node:path";
import type { Clock } from "../../lib/clock.ts";
import { Secret } from "../../lib/redact.ts";
import type { Fleet } from "../config/fleet.ts";
import { FleetFileError } from "../config/load.ts";
import { builtInProviders, type Provider } from "../egress/providers.ts";
import type { Prices } from "../ledger/prices.ts";
import { startRehearsal } from "../rehearsal/rehearsal.ts";
import type { Vault } from "../vault/vault.ts";
import { loadScenario } from "./rehearsal.ts";

const REHEARSAL = "rehearsal";

/**
 * The providers of a fleet. The rehearsal model is served on a socket of the state folder and wants a key, made
 * for this start and kept in the vault: it is called over the same way as any provider.
 */
export async function providersOf(
  fleet: Fleet,
  state: string,
  vault: Vault,
  clock: Clock,
): Promise<{ readonly providers: ReadonlyMap<string, Provider>; close(): Promise<void> }> {
  const providers = new Map<string, Provider>(Object.entries(builtInProviders));
  for (const { api, hosting, credentials, honoursKeys, ...own } of fleet.providers) {
    const { name, baseUrl, credential } = own;
    const more = {
      ...(hosting && { hosting }),
      ...(credentials && { credentials }),
      ...(honoursKeys && { honoursKeys }),
    };
    providers.set(name, { name, apis: [api], baseUrl, credential, priceList: null, ...more });
  }
  for (const [name, credentials] of fleet.keys ?? []) {
    const provider = providers.get(name);
    if (provider) providers.set(name, { ...provider, credential: credentials[0], credentials });
  }
  const rehearsal = providers.get(REHEARSAL);
  const links = [...(fleet.chains?.values() ?? [])].flatMap((chain) => chain.links);
  const used = fleet.agents.flatMap(({ model, may }) => [model.provider, ...(may.models ?? []).map(providerOf)]);
  if (!rehearsal || ![...used, ...links.map(({ provider }) => provider)].includes(REHEARSAL)) {
    return { providers, close: () => Promise.resolve() };
  }
  const socketPath = join(state, "rehearsal.sock");
  const key = randomBytes(24).toString("base64url");
  const value = new Secret(Buffer.from(key));
  await vault.put(REHEARSAL, value, "mesh");
  value.erase();
  const server = await startRehearsal({
    listen: { socketPath },
    scenarios: fleet.rehearsal === null ? [] : [loadScenario(fleet.rehearsal)],
    apiKey: new Secret(Buffer.from(key)),
    seed: fleet.name,
    clock,
  });
  providers.set(REHEARSAL, { ...rehearsal, socketPath });
  return { providers, close: () => server.close() };
}

/** No price, no call: a link of a chain that could never be called is told at the start. */
export function requirePrices(
  fleet: Fleet,
  file: string,
  prices: Prices,
  providers: ReadonlyMap<string, Provider>,
): void {
  for (const [name, { links }] of fleet.chains ?? [])
    for (const { provider, model, place } of links)
      if (!prices.priceOf(providers.get(provider)?.priceList ?? provider, model))
        throw new FleetFileError(
          `${file}:${place}: no price is known for \`${provider}/${model}\`, a model of the chain \`${name}\`\n` +
            "  fix: state it under `prices`, or remove it from the chain",
        );
}

const providerOf = (pattern: string): string => pattern.slice(0, pattern.indexOf("/"));
