import type { Api, Hosting } from "../egress/providers.ts";
import type { ToolName } from "../../protocol/door.ts";
import type { CacheRule } from "../egress/response-cache.ts";
import type { Caps } from "../ledger/ledger.ts";
import type { ModelLimits } from "../door/model-limits.ts";
import type { RunawayLimits } from "../door/runaway.ts";
import type { Hook } from "../hooks/hook.ts";
import type { Job } from "../schedule/job.ts";
import type { PriceOverride } from "../ledger/prices.ts";
import type { DatabaseSetting } from "../egress/brokers/postgres/setting.ts";
import type { RepositorySetting } from "../egress/brokers/ssh/setting.ts";
import type { Binding } from "../egress/web/binding.ts";
import type { ReachRule } from "../policy/reach.ts";
import type { SourceSetting } from "./sources.ts";
import type { Isolation, SandboxLimits } from "../sandbox/backend.ts";
import type { RootfsRequest } from "../sandbox/rootfs-guest.ts";

/** The fleet file after parsing: defaults applied, units resolved, paths absolute, references checked. */
export interface Fleet {
  readonly name: string;
  /** IANA name; days and months of budgets begin in it. */
  readonly timeZone: string;
  /** Folders that the `files.*` and `output.*` tools serve; null = none. */
  readonly files: { readonly read: string | null; readonly write: string | null };
  readonly budget: Caps;
  /** Patterns of board keys that are written once and never changed. */
  readonly appendOnly: readonly string[];
  /** Scenario file of the rehearsal model; null = the built-in ones. */
  readonly rehearsal: string | null;
  readonly providers: readonly ProviderSetting[];
  /** Of built-in providers: the credentials that share their calls, where they are not the one of the provider's name. */
  readonly keys?: ReadonlyMap<string, readonly [string, ...string[]]>;
  readonly teams: readonly TeamSetting[];
  /** No agent is of two of them; absent = none. */
  readonly tenants?: readonly TeamSetting[];
  /** Names of the fleet's own for models; resolved before anything is decided or priced. */
  readonly models: ReadonlyMap<string, ModelRef>;
  /** Models that stand in for one another, under names of the fleet's own; absent = none. */
  readonly chains?: ReadonlyMap<string, ChainSetting>;
  readonly prices: readonly PriceOverride[];
  readonly agents: readonly AgentSetting[];
  /** Sandboxes that may run at the same time; absent = all. */
  readonly awakeMax?: number;
  readonly schedule: readonly Job[];
  readonly hooks: readonly Hook[];
  /** Where each credential may stand in requests to the web. */
  readonly bindings?: readonly Binding[];
  /** Credentials that the mesh fetches by itself; absent = none. */
  readonly sources?: readonly SourceSetting[];
  /** What builds the sandboxes; absent = the `oci` backend. */
  readonly backend?: {
    readonly name: "docker";
    readonly socketPath: string | null;
    /** Doors go through relays although they could be mounted. */
    readonly relay: boolean;
  };
  /** Certificates in PEM that are trusted upstream, too. */
  readonly web?: { readonly ca: string | null };
  /** Absent = none. */
  readonly databases?: readonly DatabaseSetting[];
  /** Absent = none. */
  readonly repositories?: readonly RepositorySetting[];
}

/** Agents that share a budget, besides their own. */
export interface TeamSetting {
  readonly name: string;
  readonly members: readonly string[];
  readonly budget: Caps;
}

/** A provider of the user's own: any server that speaks one of the formats, or a cloud that hosts models. */
export interface ProviderSetting {
  readonly name: string;
  readonly api: Api;
  readonly baseUrl: string;
  readonly hosting?: Hosting;
  /** Name of the credential in the vault; null = the server wants none. */
  readonly credential: string | null;
  /** All of several that share the calls, `credential` first. */
  readonly credentials?: readonly string[];
  /** Makes calls of one `Idempotency-Key` once. */
  readonly honoursKeys?: true;
  /** Micro-USD per million tokens; no price, no call. */
  readonly price: { readonly input: number; readonly output: number };
}

/** A chain with its own names resolved: the wanted model first, none of them twice. */
export interface ChainSetting {
  readonly links: readonly ChainLink[];
  /** For the beginning of each answer, milliseconds. */
  readonly firstByteMs: number;
  /** For all attempts together, milliseconds. */
  readonly deadlineMs: number;
}

export interface ChainLink extends ModelRef {
  /** `LINE:COLUMN` of the fleet file. */
  readonly place: string;
}

export interface AgentSetting {
  readonly name: string;
  readonly instructions: string;
  /** Of a chain the first one. */
  readonly model: ModelRef;
  /** The chain that is its model; each link is its own model, too. */
  readonly chain?: string;
  readonly budget: Caps;
  readonly limits: SandboxLimits;
  readonly isolation: Isolation;
  /** Absent = its sandbox runs as long as the mesh. */
  readonly hibernateAfterMs?: number;
  /** Absent = the minimal root file system of all agents. */
  readonly rootfs?: RootfsRequest;
  /** Where the mesh has built it. */
  readonly rootfsFolder?: string;
  /** What runs in the sandbox; null = Cordon's own agent loop. */
  readonly command: readonly string[] | null;
  readonly code: string | null;
  readonly modelLimits?: ModelLimits;
  /** With whom it shares answers that were given before; absent = none are kept. */
  readonly cache?: CacheRule;
  /** Absent: it is not watched. */
  readonly runaway?: RunawayLimits;
  readonly may: Permissions;
}

/** `provider/model`, for example `anthropic/claude-sonnet-4-5`. */
export interface ModelRef {
  readonly provider: string;
  readonly model: string;
}

/** Everything an agent may do. What is not here is denied. */
export interface Permissions {
  readonly message: readonly string[];
  readonly blackboard: { readonly read: readonly string[]; readonly write: readonly string[] };
  readonly tools: readonly ToolName[];
  /** Patterns of topics; absent = none. */
  readonly topics?: { readonly publish: readonly string[]; readonly subscribe: readonly string[] };
  /** `provider/model` patterns besides the agent's own model. */
  readonly models?: readonly string[];
  /** Places in the web; absent = none. */
  readonly reach?: readonly ReachRule[];
  /** Names of credentials with bindings; absent = none. */
  readonly use?: readonly string[];
  /** Names of databases; absent = none. */
  readonly databases?: readonly string[];
  /** Names of repositories; absent = none. */
  readonly repositories?: readonly string[];
}
