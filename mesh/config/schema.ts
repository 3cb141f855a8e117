import { z } from "zod";
import { toolNames } from "../../protocol/door.ts";
import { limits } from "../../protocol/limits.ts";
import { SourcesForm } from "./sources.ts";
import { BoardGlob, Name } from "../../protocol/names.ts";
import { HookForm } from "../hooks/hook.ts";
import { JobForm } from "../schedule/form.ts";
import { DatabasesForm, MayDatabases } from "./brokers.ts";
import { MayRepositories, RepositoriesForm } from "./repositories.ts";
import { Budget } from "./budget.ts";
import { Runaway } from "./runaway.ts";
import { Bytes, Count, Duration, textOr, Usd } from "./fields.ts";
import { BindingsForm, ReachForm, WebForm } from "./reach.ts";
import { rootfsKeys } from "./rootfs.ts";

/** The form of the fleet file. Every object is strict: a key that is not understood is an error. */

const SandboxForm = z.strictObject({
  memory: Bytes.refine(
    (n) => n >= limits.sandbox.memoryBytesMin,
    "must be at least `64MiB`: node does not start in less",
  ).optional(),
  cpus: z.number().min(0.05).max(64).optional(),
  pids: z.int().min(32).max(32_768).optional(),
  disk: Bytes.refine((n) => n >= limits.sandbox.diskBytesMin, "must be at least `1MiB`").optional(),
  isolation: z.enum(["container", "gvisor", "microvm"]).optional(),
  /** How long an agent may have nothing to do until its sandbox is stopped; the next message starts it again. */
  hibernate: Duration.refine(
    (ms) => ms >= limits.hibernation.afterMsMin && ms <= limits.hibernation.afterMsMax,
    "must be from `1s` to `7d`",
  ).optional(),
  ...rootfsKeys,
});

const ModelText = z
  .string()
  .max(200)
  .regex(/^[a-z][a-z0-9-]*\/[A-Za-z0-9._:/@-]+$/, "must be `provider/model`, for example `rehearsal/echo`");

const ModelOrAlias = z
  .string()
  .max(200)
  .regex(
    /^[a-z][a-z0-9-]*(?:\/[A-Za-z0-9._:/@-]+)?$/,
    "must be `provider/model`, for example `rehearsal/echo`, or a name of `models`",
  );

const { chainLinksMax, credentialsPerProviderMax, totalTimeoutMs, firstByteTimeoutMs } = limits.model;

/** Models that stand in for one another, the wanted one first. */
const Chain = z.strictObject({
  chain: z
    .array(ModelOrAlias)
    .min(1, "must name at least one model")
    .max(chainLinksMax, `must name at most ${chainLinksMax} models`),
  /** How long each of them has for the beginning of its answer. */
  first_byte: Duration.refine(
    (ms) => ms >= 1_000 && ms <= firstByteTimeoutMs,
    `must be from \`1s\` to \`${firstByteTimeoutMs / 1_000}s\``,
  ).optional(),
  /** How long all of them have together. */
  deadline: Duration.refine(
    (ms) => ms >= 1_000 && ms <= totalTimeoutMs,
    `must be from \`1s\` to \`${totalTimeoutMs / 1_000}s\``,
  ).optional(),
});

/** US dollars for a million tokens. A price for the cache that is absent is the price of input. */
const Price = z.strictObject({ input: Usd, output: Usd, cache_read: Usd.optional(), cache_write: Usd.optional() });

/** Answers to calls that are the same to the letter are given again. */
const Cache = z.strictObject({
  ttl: Duration.refine((ms) => ms >= 1_000 && ms <= limits.model.cacheTtlMsMax, "must be from `1s` to `1d`"),
  /** Also where the next answer would be another one. */
  nondeterministic: z.boolean().optional(),
});
export type CacheForm = z.infer<typeof Cache>;

const Team = z.strictObject({
  cache: Cache.optional(),
  members: z.array(Name).max(limits.fleet.agentsMax),
  budget: Budget.optional(),
});

/** Whose agents they are: a cap over all that one of them spends, and answers that only its own agents share. */
const Tenant = z.strictObject({
  cache: Cache.optional(),
  members: z.array(Name).max(limits.fleet.agentsMax),
  budget: Budget.optional(),
});

/** `provider/model`, in which `*` stands for any part of the model's name. */
const ModelPattern = z
  .string()
  .max(200)
  .regex(/^[a-z][a-z0-9-]*\/[A-Za-z0-9._:/@*-]+$/, "must be `provider/model`, with `*` for any part of the model");

const May = z.strictObject({
  models: z.array(ModelPattern).max(100).optional(),
  message: z.array(Name).max(1_000).optional(),
  blackboard: z
    .strictObject({ read: z.array(BoardGlob).max(100).optional(), write: z.array(BoardGlob).max(100).optional() })
    .optional(),
  topics: z
    .strictObject({
      publish: z.array(BoardGlob).max(100).optional(),
      subscribe: z.array(BoardGlob).max(100).optional(),
    })
    .optional(),
  reach: ReachForm.optional(),
  use: z.array(Name).max(100).optional(),
  databases: MayDatabases.optional(),
  repositories: MayRepositories.optional(),
  tools: z
    .array(z.enum(toolNames as [(typeof toolNames)[number], ...typeof toolNames]))
    .max(100)
    .optional(),
});

const Command = z.array(z.string().min(1).max(4_096)).min(1).max(64);

const ModelLimits = z.strictObject({
  max_tokens: Count.refine(
    (n) => n >= 1 && n <= limits.model.outputTokensMax,
    "is not a length of an answer",
  ).optional(),
  n: z.int().min(1).max(limits.model.choicesMax).optional(),
  temperature: z.number().min(0).max(2).optional(),
  tools: z.int().min(0).max(limits.model.toolsMax).optional(),
});

const Agent = z.strictObject({
  model_limits: ModelLimits.optional(),
  runaway: Runaway.optional(),
  cache: Cache.optional(),
  instructions: z.string().min(1).max(512).optional(),
  model: ModelOrAlias.optional(),
  budget: Budget.optional(),
  sandbox: SandboxForm.optional(),
  command: Command.refine(
    (words) => words[0]?.startsWith("/"),
    "must start with an absolute path inside the sandbox",
  ).optional(),
  code: z.string().min(1).max(512).optional(),
  may: May.optional(),
});

/** Of a built-in provider only `credential` can be stated; of one's own, all that is not optional there must be. */
const Provider = z.strictObject({
  api: z.enum(["openai", "anthropic", "gemini"]).optional(),
  /** The server is Azure OpenAI (`api: openai`) or Amazon Bedrock (`api: anthropic`). */
  azure: z
    .strictObject({ api_version: z.string().regex(/^\d{4}-\d{2}-\d{2}(-preview)?$/, "such as `2024-10-21`") })
    .optional(),
  bedrock: z
    .strictObject({ region: z.string().regex(/^[a-z]{2}(-[a-z]{1,12}){1,3}-\d$/, "such as `eu-central-1`") })
    .optional(),
  base_url: z
    .string()
    .max(512)
    .refine(isBaseUrl, "must be an http or https URL without user name, query and fragment")
    .optional(),
  /** Several keys of one account share the calls. */
  credential: textOr(
    Name,
    z
      .array(Name)
      .min(1, "must name at least one credential")
      .max(credentialsPerProviderMax, `must name at most ${credentialsPerProviderMax} credentials`),
  ).optional(),
  /** The server makes calls of one `Idempotency-Key` once. */
  idempotency_key: z.literal(true).optional(),
  price: z.strictObject({ input: Usd, output: Usd }).optional(),
});

export const FleetForm = z.strictObject({
  version: z.literal(1),
  fleet: Name,
  time_zone: z.string().refine(isTimeZone, "must be an IANA time zone such as `Europe/Berlin` or `UTC`").optional(),
  files: z
    .strictObject({ read: z.string().min(1).max(512).optional(), write: z.string().min(1).max(512).optional() })
    .optional(),
  rehearsal: z.string().min(1).max(512).optional(),
  backend: z.enum(["oci", "docker"]).optional(),
  docker: z
    .strictObject({
      socket: z.string().max(107).regex(/^\//, "must be the absolute path of a Unix socket").optional(),
      /** Doors go through relays, as with Docker Desktop, also where they could be mounted. */
      relay: z.boolean().optional(),
    })
    .optional(),
  budget: Budget.optional(),
  blackboard: z
    .strictObject({ append_only: z.array(BoardGlob).max(limits.board.appendOnlyPatternsMax).optional() })
    .optional(),
  providers: z.record(Name, Provider).optional(),
  teams: z.record(Name, Team).optional(),
  tenants: z.record(Name, Tenant).optional(),
  /** Names of one's own for models, and for chains of them. */
  models: z.record(Name, textOr(ModelText, Chain)).optional(),
  /** In the place of the price list's. */
  prices: z.record(ModelText, Price).optional(),
  defaults: z
    .strictObject({
      model: ModelOrAlias.optional(),
      runaway: Runaway.optional(),
      budget: Budget.optional(),
      sandbox: SandboxForm.optional(),
    })
    .optional(),
  schedule: z.record(Name, JobForm).optional(),
  hooks: z.record(Name, HookForm).optional(),
  /** Sandboxes that may run at the same time. */
  awake: z.int().min(1).max(limits.fleet.agentsMax).optional(),
  bindings: BindingsForm.optional(),
  /** Where the values of credentials come from, when no person enters them. */
  sources: SourcesForm.optional(),
  web: WebForm.optional(),
  /** What agents may use without a password, as roles that are fixed here. */
  databases: DatabasesForm.optional(),
  /** What agents' git clones and pushes to without a key. */
  repositories: RepositoriesForm.optional(),
  agents: z.record(Name, Agent).refine((agents) => Object.keys(agents).length > 0, "must name at least one agent"),
});
export type FleetForm = z.infer<typeof FleetForm>;
export type AgentForm = z.infer<typeof Agent>;
export type ProviderForm = z.infer<typeof Provider>;

function isBaseUrl(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && /^https?:$/.test(url.protocol) && !/[?#@\s]/.test(text);
}

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}
