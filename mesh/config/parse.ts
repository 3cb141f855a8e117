import { existsSync, statSync } from "node:fs";
import { isAbsolute, join, resolve } from "node:path";
import { parseJson } from "../../lib/json.ts";
import { nearest } from "../../lib/nearest.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import { limits } from "../../protocol/limits.ts";
import type { ModelLimits } from "../door/model-limits.ts";
import type { PriceOverride } from "../ledger/prices.ts";
import type { Binding } from "../egress/web/binding.ts";
import { builtInProviders } from "../egress/providers.ts";
import type { RepositorySetting } from "../egress/brokers/ssh/setting.ts";
import { databasesOf, mayDatabases } from "./brokers.ts";
import { mayRepositories, repositoriesOf } from "./repositories.ts";
import { cacheOf } from "./cache.ts";
import { chainsOf } from "./chains.ts";
import type { AgentSetting, ChainSetting, Fleet, ModelRef, Permissions } from "./fleet.ts";
import type { Isolation } from "../sandbox/backend.ts";
import { readHook, type Hook } from "../hooks/hook.ts";
import { readJob } from "../schedule/form.ts";
import type { Job } from "../schedule/job.ts";
import type { JsonSchema } from "../workflow/definition.ts";
import { compileSchema } from "../workflow/schema.ts";
import { capsOf } from "./budget.ts";
import { readBindings, readPermissions, type Tell } from "./reach.ts";
import { teamsOf, tenantsOf } from "./teams.ts";
import { describe } from "./describe.ts";
import { providersOf } from "./providers.ts";
import { sourcesOf } from "./sources.ts";
import { runawayOf } from "./runaway.ts";
import { FleetForm, type AgentForm } from "./schema.ts";
import { readCertificates } from "./certificates.ts";
import { readRegular } from "./read-file.ts";
import { readRootfs } from "./rootfs.ts";
import { FAULTS_MAX, Source, type Fault, type Path } from "./source.ts";

const placeOf = ({ line, column }: Fault): string => `${line}:${column}`;
const MiB = 1024 * 1024;
/** What a sandbox gets when the file says nothing. */
const sandboxDefaults = { memory: 384 * MiB, cpus: 0.15, pids: 256, disk: 256 * MiB, isolation: "container" } as const;

/** Reads the text of a fleet file whose relative paths start at `folder`. All faults at once, in file order. */
export function parseFleet(text: string, folder: string): Result<Fleet, readonly Fault[]> {
  const source = new Source(text);
  if (source.faults.length > 0) return err(source.faults);
  const parsed = FleetForm.safeParse(source.value, { reportInput: true });
  if (!parsed.success)
    return err(inOrder(parsed.error.issues.slice(0, FAULTS_MAX).flatMap((issue) => describe(source, issue))));
  const reader = new Reader(source, folder, parsed.data);
  const fleet = reader.fleet();
  return reader.faults.length > 0 ? err(inOrder(reader.faults)) : ok(fleet);
}

const inOrder = (faults: readonly Fault[]): readonly Fault[] =>
  [...faults].sort((a, b) => a.line - b.line || a.column - b.column);

/** Second pass: references, paths and defaults. */
class Reader {
  readonly faults: Fault[] = [];
  readonly #source: Source;
  readonly #folder: string;
  readonly #form: FleetForm;
  readonly #agents: ReadonlySet<string>;
  readonly #bindings: readonly Binding[];
  readonly #tell: Tell = (at, message, fix) => this.#fault(at, message, fix);
  readonly #chains: ReadonlyMap<string, ChainSetting>;
  readonly #repositories: readonly RepositorySetting[];

  constructor(source: Source, folder: string, form: FleetForm) {
    this.#source = source;
    this.#folder = folder;
    this.#form = form;
    this.#agents = new Set(Object.keys(form.agents));
    this.#bindings = readBindings(form.bindings, this.#tell);
    this.#repositories = repositoriesOf(form.repositories ?? {}, this.#tell);
    this.#chains = chainsOf({
      forms: form.models ?? {},
      model: (at, text) => this.#model(at, text, ""),
      place: (at) => placeOf(source.at(at, "", "")),
      fault: (at, message, fix) => this.#fault(at, message, fix),
    });
  }

  fleet(): Fleet {
    const form = this.#form;
    if (this.#agents.size > limits.fleet.agentsMax) {
      this.#fault(["agents"], `${this.#agents.size} agents`, `at most ${limits.fleet.agentsMax}`);
    }
    const fault = (at: Path, message: string, fix: string): void => this.#fault(at, message, fix);
    const providers = providersOf(form.providers ?? {}, fault);
    return {
      name: form.fleet,
      timeZone: form.time_zone ?? "UTC",
      files: {
        read: this.#existing(["files", "read"], form.files?.read, "folder"),
        // The output folder is made on demand, so it need not exist.
        write: form.files?.write === undefined ? null : resolve(this.#folder, form.files.write),
      },
      budget: capsOf(form.budget),
      appendOnly: form.blackboard?.append_only ?? [],
      rehearsal: this.#existing(["rehearsal"], form.rehearsal, "file"),
      ...this.#backend(),
      providers: providers.own,
      keys: providers.builtIn,
      schedule: this.#schedule(),
      hooks: this.#hooks(),
      ...(form.awake !== undefined && { awakeMax: form.awake }),
      bindings: this.#bindings,
      ...(form.sources && { sources: sourcesOf(form.sources, (path) => resolve(this.#folder, path), this.#tell) }),
      web: { ca: this.#certificates(["web", "ca"], form.web?.ca) },
      ...(form.databases && {
        databases: databasesOf(form.databases, (at, path) => this.#certificates(at, path), this.#tell),
      }),
      ...(form.repositories && { repositories: this.#repositories }),
      teams: teamsOf(form.teams, this.#agents, fault),
      ...(form.tenants && { tenants: tenantsOf(form.tenants, this.#agents, fault) }),
      models: new Map(
        Object.entries(form.models ?? {}).flatMap(([name, text]) =>
          typeof text === "string" ? [[name, this.#model(["models", name], text, name)]] : [],
        ),
      ),
      chains: this.#chains,
      prices: Object.entries(form.prices ?? {}).map(([text, price]) => this.#price(text, price)),
      agents: [...this.#agents].map((name) => this.#agent(name, form.agents[name] ?? {})),
    };
  }

  #hooks(): Hook[] {
    const entries = Object.entries(this.#form.hooks ?? {});
    if (entries.length > limits.hook.hooksMax)
      this.#fault(["hooks"], `${entries.length} hooks`, `at most ${limits.hook.hooksMax}`);
    return entries.slice(0, limits.hook.hooksMax).flatMap(([name, form]) => {
      const read = readHook(
        name,
        form,
        this.#agents,
        this.#jsonSchema(["hooks", name, "schema"], form.schema),
        this.#existing(["hooks", name, "workflow"], form.workflow, "file"),
      );
      if (read.ok) return [read.value];
      const { at, message, fix } = read.error;
      this.#fault(["hooks", name, ...at], message, fix);
      return [];
    });
  }

  #jsonSchema(at: Path, file: string | undefined): JsonSchema | null {
    const path = this.#existing(at, file, "file");
    if (path === null) return null;
    const read = readRegular(path, limits.hook.schemaBytesMax);
    if (!read.ok) {
      if (read.error === "too large")
        this.#fault(at, "the schema is too long", `at most ${limits.hook.schemaBytesMax} bytes`);
      else this.#fault(at, `\`${path}\` cannot be read`, read.error);
      return null;
    }
    const parsed = parseJson(read.value, limits.door.jsonDepthMax);
    const compiled = parsed.ok ? compileSchema(parsed.value) : err({ path: [], message: parsed.error });
    if (compiled.ok) return compiled.value;
    const where = compiled.error.path.length > 0 ? ` at \`${compiled.error.path.join(".")}\`` : "";
    this.#fault(at, `\`${file}\` is no JSON Schema that is taken here${where}`, compiled.error.message);
    return null;
  }

  #schedule(): Job[] {
    const entries = Object.entries(this.#form.schedule ?? {});
    const context = { timeZone: this.#form.time_zone ?? "UTC", agents: this.#agents };
    if (entries.length > limits.schedule.jobsMax)
      this.#fault(["schedule"], `${entries.length} jobs`, `at most ${limits.schedule.jobsMax}`);
    let firings = 0;
    return entries.slice(0, limits.schedule.jobsMax).flatMap(([name, form]) => {
      const workflow = this.#existing(["schedule", name, "workflow"], form.workflow, "file");
      const read = readJob(name, form, { ...context, workflow });
      if (!read.ok) {
        const { at, message, fix } = read.error;
        this.#fault(["schedule", name, ...at], message, fix);
        return [];
      }
      firings += read.value.firingsPerDay;
      if (firings > limits.schedule.firingsPerDayMax) {
        const fix = `at most ${limits.schedule.firingsPerDayMax} a day for the whole fleet: let this one fire less often`;
        this.#fault(["schedule", name], `the schedule fires ${firings} times a day up to here`, fix);
      }
      return [read.value.job];
    });
  }

  #backend(): Pick<Fleet, "backend"> {
    const { backend, docker } = this.#form;
    if (backend === "docker") {
      return { backend: { name: backend, socketPath: docker?.socket ?? null, relay: docker?.relay ?? false } };
    }
    if (docker !== undefined) this.#fault(["docker"], "`docker` is set and not used", "add `backend: docker`");
    return {};
  }

  #price(text: string, price: NonNullable<FleetForm["prices"]>[string]): PriceOverride {
    const { provider, model } = this.#model(["prices", text], text, text);
    return {
      ...{ provider, model, inputRate: price.input, outputRate: price.output },
      ...(price.cache_read === undefined ? {} : { cacheReadRate: price.cache_read }),
      ...(price.cache_write === undefined ? {} : { cacheWriteRate: price.cache_write }),
    };
  }

  #agent(name: string, form: AgentForm): AgentSetting {
    const at: Path = ["agents", name];
    const sandbox = { ...sandboxDefaults, ...given(this.#form.defaults?.sandbox), ...given(form.sandbox) };
    const named = form.model ?? this.#form.defaults?.model;
    const budget = capsOf(form.budget ?? this.#form.defaults?.budget);
    const cache = cacheOf(name, form.cache, this.#form);
    const runaway = runawayOf([form.runaway, this.#form.defaults?.runaway], budget.day.usd);
    return {
      name,
      instructions: this.#instructions([...at, "instructions"], form),
      ...(named !== undefined && this.#chains.has(named) ? { chain: named } : {}),
      model: this.#model(form.model === undefined ? ["defaults", "model"] : [...at, "model"], named, name),
      budget,
      limits: { memoryBytes: sandbox.memory, cpus: sandbox.cpus, pids: sandbox.pids, diskBytes: sandbox.disk },
      isolation: sandbox.isolation,
      ...(sandbox.hibernate !== undefined && { hibernateAfterMs: sandbox.hibernate }),
      ...this.#rootfs(at, form),
      command: form.command ?? null,
      code: this.#existing([...at, "code"], form.code, "folder"),
      ...(form.model_limits && { modelLimits: ceilings(form.model_limits) }),
      ...(runaway && { runaway }),
      ...(cache && { cache }),
      may: this.#permissions(at, name, form),
    };
  }

  #rootfs(at: Path, form: AgentForm): Pick<AgentSetting, "rootfs"> {
    const rootfs = readRootfs(
      [[...at, "sandbox"], form.sandbox],
      [["defaults", "sandbox"], this.#form.defaults?.sandbox],
      (place, value) => this.#existing(place, value, "folder"),
      this.#tell,
    );
    return rootfs ? { rootfs } : {};
  }

  #permissions(at: Path, name: string, form: AgentForm): Permissions {
    const message = form.may?.message ?? [];
    message.forEach((peer, index) => {
      const place = [...at, "may", "message", index];
      if (!this.#agents.has(peer)) {
        this.#unknownAgent(place, peer);
      } else if (peer === name) this.#fault(place, `\`${name}\` may not message itself`, "remove it");
    });
    const models = form.may?.models;
    models?.forEach((pattern, index) => this.#model([...at, "may", "models", index], pattern, name));
    const tools = form.may?.tools ?? [];
    tools.forEach((tool, index) => {
      const place = [...at, "may", "tools", index];
      if (/^(?:board|bus)\./.test(tool) || tool === "message.send") {
        this.#fault(
          place,
          `\`${tool}\` is granted by \`blackboard\`, \`topics\` or \`message\``,
          "remove it from `tools`",
        );
      }
      const side = tool.startsWith("files.") ? "read" : tool.startsWith("output.") ? "write" : undefined;
      if (side && this.#form.files?.[side] === undefined)
        this.#fault(place, `\`${tool}\` has no folder to serve`, `set \`files.${side}\``);
    });
    return {
      message,
      blackboard: { read: form.may?.blackboard?.read ?? [], write: form.may?.blackboard?.write ?? [] },
      tools,
      ...(form.may?.topics ? { topics: topicsOf(form.may.topics) } : {}),
      ...(models && { models }),
      ...readPermissions([...at, "may"], form.may, this.#bindings, this.#tell),
      ...mayDatabases(
        [...at, "may", "databases"],
        form.may?.databases,
        Object.keys(this.#form.databases ?? {}),
        this.#tell,
      ),
      ...mayRepositories([...at, "may", "repositories"], form.may?.repositories, this.#repositories, this.#tell),
    };
  }

  #instructions(at: Path, form: AgentForm): string {
    const path = this.#existing(at, form.instructions, "file");
    if (path === null) {
      if (form.instructions === undefined && form.command === undefined)
        this.#fault(
          at.slice(0, -1),
          "an agent needs `instructions` or `command`",
          "add `instructions: prompts/NAME.md`",
        );
      return "";
    }
    const read = readRegular(path, limits.fleet.instructionsBytesMax);
    if (read.ok) return read.value.toString("utf8");
    if (read.error === "too large")
      this.#fault(at, "instructions are too long", `at most ${limits.fleet.instructionsBytesMax} bytes`);
    else this.#fault(at, `\`${path}\` cannot be read`, read.error);
    return "";
  }

  #model(at: Path, text: string | undefined, agent: string): ModelRef {
    if (text === undefined) {
      this.#fault(
        ["agents", agent],
        `\`${agent}\` has no model`,
        "set `model` here or under `defaults`, for example `rehearsal/echo`",
      );
      return { provider: "", model: "" };
    }
    const aliases = this.#form.models ?? {};
    const slash = text.indexOf("/");
    if (slash < 0) {
      const meaning = Object.hasOwn(aliases, text) ? aliases[text] : undefined;
      // What is wrong with a chain was told with the chain.
      if (typeof meaning === "object") {
        const { provider = "", model = "" } = this.#chains.get(text)?.links[0] ?? {};
        return { provider, model };
      }
      if (meaning !== undefined) return this.#model(["models", text], meaning, agent);
      const meant = nearest(text, Object.keys(aliases));
      const fix = meant ? `did you mean \`${meant}\`?` : "declare it under `models`, or write `provider/model`";
      this.#fault(at, `no model \`${text}\``, fix);
      return { provider: "", model: "" };
    }
    const provider = text.slice(0, slash);
    const known = [...Object.keys(builtInProviders), ...Object.keys(this.#form.providers ?? {})];
    if (!known.includes(provider)) {
      const meant = nearest(provider, known);
      this.#fault(
        at,
        `unknown provider \`${provider}\``,
        meant ? `did you mean \`${meant}\`?` : `declare it under \`providers\`, or use one of ${known.join(", ")}`,
      );
    }
    return { provider, model: text.slice(slash + 1) };
  }

  #certificates(at: Path, value: string | undefined): string | null {
    const path = this.#existing(at, value, "file");
    const read = path === null ? ok(null) : readCertificates(path);
    if (read.ok) return read.value;
    this.#fault(at, `\`${value}\` ${read.error}`, "name a file of certificates in PEM");
    return null;
  }

  #existing(at: Path, value: string | undefined, kind: "file" | "folder"): string | null {
    if (value === undefined) return null;
    const path = isAbsolute(value) ? value : join(this.#folder, value);
    const stat = existsSync(path) ? statSync(path) : undefined;
    if (!(kind === "file" ? stat?.isFile() : stat?.isDirectory())) {
      this.#fault(
        at,
        `\`${value}\` is not a ${kind}`,
        `create it, or correct the path (it starts at the fleet file's folder)`,
      );
      return null;
    }
    return path;
  }

  #unknownAgent(at: Path, name: string): void {
    // To look for what was meant among thousands takes a while, thousands of times.
    if (this.faults.length >= FAULTS_MAX) return;
    const meant = nearest(name, [...this.#agents]);
    this.#fault(at, `no agent \`${name}\``, meant ? `did you mean \`${meant}\`?` : "declare it under `agents`");
  }

  #fault(path: Path, message: string, fix: string): void {
    if (this.faults.length < FAULTS_MAX) this.faults.push(this.#source.at(path, message, fix));
  }
}

type SandboxSizes = {
  -readonly [key in keyof typeof sandboxDefaults]: (typeof sandboxDefaults)[key] extends number ? number : Isolation;
} & { hibernate?: number };

/** The sizes that the file states; what is absent must not hide a default. */
const given = (
  form: { readonly [key in keyof SandboxSizes]?: SandboxSizes[key] | undefined } | undefined,
): Partial<SandboxSizes> => Object.fromEntries(Object.entries(form ?? {}).filter(([, value]) => value !== undefined));

const ceilings = ({ max_tokens, n, temperature, tools }: NonNullable<AgentForm["model_limits"]>): ModelLimits => ({
  ...(max_tokens === undefined ? {} : { maxTokens: max_tokens }),
  ...(n === undefined ? {} : { n }),
  ...(temperature === undefined ? {} : { temperature }),
  ...(tools === undefined ? {} : { tools }),
});

const topicsOf = (form: { publish?: string[] | undefined; subscribe?: string[] | undefined }) => ({
  publish: form.publish ?? [],
  subscribe: form.subscribe ?? [],
});
