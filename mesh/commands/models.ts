import { randomBytes } from "node:crypto";
import { join } from "node:path";
import type { Clock } from "../../lib/clock.ts";
import { Secret } from "../../lib/redact.ts";
import type { Fleet } from "../config/fleet.ts";
import { builtInProviders, type Provider } from "../egress/providers.ts";
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
  for (const { name, api, baseUrl, hosting, credential } of fleet.providers) {
    providers.set(name, { name, apis: [api], baseUrl, ...(hosting && { hosting }), credential, priceList: null });
  }
  const rehearsal = providers.get(REHEARSAL);
  if (
    !rehearsal ||
    !fleet.agents.some(({ model, may }) => [model.provider, ...(may.models ?? []).map(providerOf)].includes(REHEARSAL))
  ) {
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

const providerOf = (pattern: string): string => pattern.slice(0, pattern.indexOf("/"));
