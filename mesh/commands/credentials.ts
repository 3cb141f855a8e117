import type { Clock } from "../../lib/clock.ts";
import { limits } from "../../protocol/limits.ts";
import type { Fleet } from "../config/fleet.ts";
import type { CredentialDrop } from "../desk/services.ts";
import type { Provider } from "../egress/providers.ts";
import { refreshName } from "../egress/sources/oauth.ts";
import { err } from "../../lib/result.ts";
import type { Sources } from "./sources.ts";
import type { Vault } from "../vault/vault.ts";
import { rotateMasterKey, type StateKey } from "./state-key.ts";

type Providers = ReadonlyMap<string, Provider>;

/** The vault as the desk sees it. */
export function deskCredentials(
  vault: Vault,
  parts: {
    readonly state: string;
    readonly key: StateKey;
    readonly fleet: Fleet;
    readonly providers: Providers;
    readonly sources: Sources;
    /** Aborted when the mesh ends. */
    readonly signal: AbortSignal;
  },
): CredentialDrop {
  let { key } = parts;
  const { sources, signal } = parts;
  let rotation: Promise<unknown> = Promise.resolve();
  return {
    put: async (name, value, by, options) => {
      const stored = await vault.put(name, value, by, options);
      sources.keeper.nudge();
      return stored;
    },
    revoke: async (name, by) => {
      // The other side is told with what the vault holds now; that nobody gets it any more does not wait for an answer.
      const told = sources.keeper.forget(name, signal).catch(() => undefined);
      const kept = sources.oauth(name) ? [name, refreshName(name)] : [name];
      const [revoked = false] = await Promise.all(kept.map((each) => vault.revoke(each, by)));
      await told;
      return revoked;
    },
    login: (name, redirectUri) => {
      const source = sources.oauth(name);
      return source
        ? sources.logins.start(name, source, redirectUri, signal)
        : Promise.resolve(
            err({ reason: `\`${name}\` has no OAuth source`, fix: "add one to the fleet file, under `sources`" }),
          );
    },
    finishLogin: (state, code) => sources.logins.finish(state, code, sources.oauth, signal),
    list: () => vault.list(),
    usage: () => {
      const uses = vault.uses();
      const used = new Set(uses.filter((row) => row.uses > 0).map(({ name, agent }) => `${name} ${agent}`));
      return {
        uses,
        idle: grantsOf(parts.fleet, parts.providers).filter((each) => !used.has(`${each.name} ${each.agent}`)),
      };
    },
    // One after the other: each starts from the key that the one before has left.
    rotateMasterKey: (by) => {
      const turn = rotation.then(async () => {
        key = await rotateMasterKey(parts.state, vault, key, by);
      });
      rotation = turn.catch(() => undefined);
      return turn;
    },
  };
}

/** Which credential the fleet file puts to whose service. */
function grantsOf(fleet: Fleet, providers: Providers): { readonly name: string; readonly agent: string }[] {
  return fleet.agents.flatMap(({ name: agent, model, may }) => {
    const named = (may.models ?? []).map((pattern) => pattern.slice(0, pattern.indexOf("/")));
    const credentials = [model.provider, ...named].flatMap((provider) => providers.get(provider)?.credential ?? []);
    const databases = (fleet.databases ?? []).filter((each) => may.databases?.includes(each.name));
    const repositories = (fleet.repositories ?? []).filter((each) => may.repositories?.includes(each.name));
    credentials.push(...(may.use ?? []), ...databases.map(({ credential }) => credential));
    credentials.push(
      ...repositories.flatMap(({ key, passphrase }) => [key, ...(passphrase === null ? [] : [passphrase])]),
    );
    return [...new Set(credentials)].map((name) => ({ name, agent }));
  });
}

/** Erases what has retired and tells of what ends soon, until `signal`. */
export async function tendVault(vault: Vault, clock: Clock, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await vault.tend();
    await clock.sleep(limits.credential.tendIntervalMs, signal).catch(() => undefined);
  }
}
