import { randomBytes } from "node:crypto";
import type { Clock } from "../../lib/clock.ts";
import type { Id } from "../../lib/id.ts";
import type { Fleet } from "../config/fleet.ts";
import type { SourceSetting } from "../config/sources.ts";
import { environmentValue } from "../config/surroundings.ts";
import { AwsSecretsSource } from "../egress/sources/aws-secrets.ts";
import { endpoint, type Endpoint } from "../egress/sources/endpoint.ts";
import { HashicorpSource } from "../egress/sources/hashicorp.ts";
import { CredentialKeeper, type Kept } from "../egress/sources/keeper.ts";
import { environmentSource, fileSource } from "../egress/sources/local.ts";
import { OAuthLogins } from "../egress/sources/oauth-login.ts";
import { OAuthSource } from "../egress/sources/oauth.ts";
import type { SecretSource } from "../egress/sources/source.ts";
import type { Monitor } from "../monitor/monitor.ts";
import type { Vault } from "../vault/vault.ts";

interface Parts {
  readonly vault: Vault;
  readonly clock: Clock;
  readonly ids: Id;
  readonly monitor: Monitor;
}

/** The credentials that the mesh fetches by itself. */
export interface Sources {
  readonly keeper: CredentialKeeper;
  readonly logins: OAuthLogins;
  oauth(name: string): OAuthSource | undefined;
  close(): Promise<void>;
}

export function sourcesFor(fleet: Fleet, parts: Parts): Sources {
  const { vault, clock, monitor } = parts;
  const ask = endpoint(fleet.web?.ca ?? null);
  const kept = new Map<string, Kept>();
  const oauth = new Map<string, OAuthSource>();
  for (const setting of fleet.sources ?? []) {
    const source = sourceFor(setting, parts, ask);
    if (source instanceof OAuthSource) oauth.set(setting.name, source);
    kept.set(setting.name, { source, everyMs: setting.everyMs });
    if (setting.kind === "environment")
      monitor.emit("credential.weak_source", null, {
        credential: setting.name,
        reason: "every process of this user can read the environment: move the value into the vault",
      });
  }
  const chance = (): number => randomBytes(4).readUInt32BE() / 2 ** 32;
  const keeper = new CredentialKeeper({ vault, clock, monitor, chance, kept });
  return {
    keeper,
    logins: new OAuthLogins(keeper, clock, randomBytes),
    oauth: (name) => oauth.get(name),
    close: () => ask.close(),
  };
}

function sourceFor(setting: SourceSetting, { vault, clock, ids }: Parts, ask: Endpoint): SecretSource {
  const nowMs = (): number => clock.nowMs();
  switch (setting.kind) {
    case "oauth":
      return new OAuthSource(setting.name, setting.oauth, { vault, ask, nowMs, newId: () => ids.next("jwt") });
    case "hashicorp":
      return new HashicorpSource(setting.hashicorp, vault, ask);
    case "aws":
      return new AwsSecretsSource(setting.aws, vault, ask, nowMs);
    case "environment":
      return environmentSource(setting.variable, environmentValue);
    case "file":
      return fileSource(setting.path);
  }
}
