import { randomBytes } from "node:crypto";
import { join, resolve } from "node:path";
import { systemClock as clock } from "../../lib/clock.ts";
import { randomId as ids } from "../../lib/id.ts";
import { printable } from "../../lib/text.ts";
import { deskFiles, type AgentStatus } from "../../protocol/desk.ts";
import { limits } from "../../protocol/limits.ts";
import { createAudit } from "../audit/create.ts";
import { verifyAudit } from "../audit/verify.ts";
import { Blackboard } from "../blackboard/blackboard.ts";
import { Inboxes } from "../bus/inboxes.ts";
import { Requests } from "../bus/requests.ts";
import { Topics } from "../bus/topics.ts";
import type { Fleet } from "../config/fleet.ts";
import { readsByNode } from "../config/surroundings.ts";
import { loadFleet } from "../config/load.ts";
import { Desk } from "../desk/desk.ts";
import { operator } from "../desk/services.ts";
import { DeskToken } from "../desk/token.ts";
import { denialsByCaller } from "../door/denials.ts";
import { Door } from "../door/door.ts";
import { Runaway } from "../door/runaway.ts";
import type { DoorServices } from "../door/services.ts";
import { Injector } from "../egress/credentials.ts";
import { Balance } from "../egress/balance.ts";
import { Circuits } from "../egress/health.ts";
import { ResponseCache } from "../egress/response-cache.ts";
import { ModelGateway } from "../egress/model-gateway.ts";
import { webGatewayOf } from "./web.ts";
import { urlDigests } from "../egress/url-digest.ts";
import { selvesOf } from "../fleet/self.ts";
import { Supervisor } from "../fleet/supervisor.ts";
import { freeBytesAt } from "../schedule/probes.ts";
import { Scheduler } from "../schedule/scheduler.ts";
import { eitherTrigger, messageTrigger } from "../schedule/trigger.ts";
import { HookReceiver } from "../hooks/receiver.ts";
import { BodyMemory } from "../http/body-memory.ts";
import { createLedger } from "../ledger/create.ts";
import type { BudgetNotice } from "../ledger/notices.ts";
import { createPrices, type PriceOverride } from "../ledger/prices.ts";
import { ScopeTree } from "../ledger/scope-tree.ts";
import type { MeshOptions } from "../main.ts";
import { Orchestrator } from "../orchestrator/orchestrator.ts";
import { Watchman } from "../orchestrator/watchman.ts";
import { Monitor } from "../monitor/monitor.ts";
import { matrixOf } from "../policy/matrix.ts";
import { openStore } from "../store/open.ts";
import { roomOn, spaceAt } from "../store/room.ts";
import { FileTools } from "../tools/files.ts";
import { messageCode } from "../vault/message-code.ts";
import { Vault } from "../vault/vault.ts";
import { CredentialWatch } from "../vault/watch.ts";
import { boardNews } from "./board-news.ts";
import { Closing } from "./closing.ts";
import { postgresOf } from "./databases.ts";
import { sshOf } from "./repositories.ts";
import { departed } from "./departed.ts";
import { CommandError, told } from "./failure.ts";
import { requireFence } from "./fence.ts";
import { installationOf, version } from "./installation.ts";
import { localBackend } from "./machine.ts";
import { providersOf, requirePrices } from "./models.ts";
import { openMoney } from "./money.ts";
import { deskCredentials, tendVault } from "./credentials.ts";
import { sourcesFor } from "./sources.ts";
import { keyOpenerOf } from "./key-opener.ts";
import { withRootFileSystems } from "./root-file-systems.ts";
import { sealedBoard } from "./sealed-board.ts";
import { openKey } from "./state-key.ts";
import { stateFolder } from "./state.ts";
import { startsOf } from "./triggered.ts";
import { atWork, createWorkflowEngine, deskRuns } from "./workflows.ts";

/** `serve`: the mesh. Resolves with the exit code when it has ended and nothing of it is left. */
export async function serve(options: MeshOptions): Promise<number> {
  const fleet = withFolders(loadFleet(options.fleet ?? "cordon.yaml"), options);
  const state = stateFolder(options.state);
  const end = Promise.withResolvers<number>();
  const closing = new Closing((fault) => process.stderr.write(printable(fault)));
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => end.resolve(0));
  if (options.attached) endWithStarter(() => end.resolve(0));
  try {
    // A signal while it starts ends it as well.
    await Promise.race([start(fleet, state, options, closing, end), end.promise]);
    return await end.promise;
  } finally {
    await closing.end();
  }
}

async function start(
  fleet: Fleet,
  state: string,
  options: MeshOptions,
  closing: Closing,
  end: PromiseWithResolvers<number>,
): Promise<void> {
  const startedAtMs = clock.nowMs();
  const fail = (message: string): void => {
    process.stderr.write(printable(message));
    end.resolve(1);
  };
  const store = await openStore({ path: state });
  closing.push(() => store.close());
  void store.failed.then((failure) => fail(told(failure.message)));
  const key = await openKey(store, state, await keyOpenerOf(state, options));
  const installation = await installationOf(store, fleet.name, ids);
  const audit = createAudit({ store, clock, signer: key.auditSigner, macKey: key.auditMac });
  closing.push(() => audit.close());
  const monitor = new Monitor(clock);

  const scopes = new ScopeTree(fleet);
  const prices = createPrices({
    clock,
    overrides: [...statedPrices(fleet), ...fleet.prices],
    onDisagreement: (found) => monitor.emit("prices.disagree", null, { ...found }),
  });
  const money = openMoney({
    ...{ store, audit, clock, scopes, prices, timeZone: fleet.timeZone },
    onChange: (change) => monitor.emit("budget.changed", null, { ...change }),
  });
  await audit.record({
    kind: "mesh.started",
    subject: "mesh",
    detail: { fleet: fleet.name, version, agents: fleet.agents.length },
  });
  const ledger = await createLedger({
    store,
    audit,
    clock,
    ids,
    timeZone: fleet.timeZone,
    caps: (scope) => money.overrides.caps(scope),
    onNotice: (notice) => tellBudget(monitor, notice),
  });

  const backend = await localBackend({ installation, state, clock, backend: fleet.backend });
  await requireFence(fleet, backend, { clock, id: ids, audit, monitor });
  const watch = new CredentialWatch({ store, clock, monitor });
  const vault = new Vault({ store, audit, clock, key, random: randomBytes, watch });
  const tending = new AbortController();
  const sources = sourcesFor(fleet, { vault, clock, ids, monitor });
  closing.push(() => (tending.abort(), sources.close()));
  const { providers, close: closeProviders } = await providersOf(fleet, state, vault, clock);
  closing.push(closeProviders);
  requirePrices(fleet, options.fleet ?? "cordon.yaml", prices, providers);
  const gateway = new ModelGateway(clock);
  closing.push(() => gateway.close());

  const board = new Blackboard(store, clock, { appendOnly: fleet.appendOnly, ...(await sealedBoard(store, key)) });
  const topics = new Topics(store, clock, ids);
  const requests = new Requests(store, clock, topics);
  const inboxes = new Inboxes(store, clock, ids, async ({ agent, id, attempts, writes }) => {
    await audit.record({ kind: "message.dead", subject: "mesh", detail: { agent, message: id, attempts } }, writes);
    monitor.emit("message.dead_letter", agent, { message: id, attempts });
  });
  const trigger = eitherTrigger(messageTrigger(inboxes, store), () => starts);
  const tasks = new Orchestrator({ store, clock, ids, inboxes });
  const taskWatch = new Watchman({ orchestrator: tasks, audit, monitor, clock });
  const addresses = urlDigests(fleet.web?.ca ?? null);
  closing.push(() => addresses.close());
  const scheduler = new Scheduler({
    ...{ store, audit, clock, monitor, inboxes, topics, trigger },
    jobs: fleet.schedule,
    freeBytes: () => freeBytesAt(state),
    urlDigest: addresses.digest,
  });
  const matrix = matrixOf(fleet);
  const circuits = new Circuits(
    clock,
    () => randomBytes(4).readUInt32BE() / 2 ** 32,
    ({ ...change }) => monitor.emit(`model.circuit_${change.state}`, null, change),
  );
  const injector = new Injector(vault);
  const kept = new Map(fleet.agents.map(({ name, cache }) => [name, cache]));
  const watched = new Map(fleet.agents.map(({ name, runaway }) => [name, runaway]));
  const runaway = new Runaway(clock, (agent) => watched.get(agent));
  const services: DoorServices = {
    ...{ clock, ids, matrix, audit, ledger, board, inboxes, topics, requests, monitor, providers, gateway },
    ...(readsByNode() && { http1: "node" }),
    selves: selvesOf(fleet, matrix, providers),
    modelLimits: new Map(fleet.agents.flatMap(({ name, modelLimits }) => (modelLimits ? [[name, modelLimits]] : []))),
    prices,
    bodies: new BodyMemory(),
    scopes,
    aliases: fleet.models,
    routing: {
      chains: new Map([...(fleet.chains ?? [])].map(([name, chain]) => [name, { name, ...chain }])),
      circuits,
      balance: new Balance(limits.model.circuitsMax),
    },
    injector,
    ...webGatewayOf(fleet, injector, clock),
    ...postgresOf(fleet, injector, clock),
    ...sshOf(fleet, injector, clock),
    denials: denialsByCaller({ clock, audit }),
    files: new FileTools(fleet.files, ids),
    room: roomOn(() => spaceAt(state), clock),
    tasks,
    taskWatch,
    halted: (agent) => supervisor.halted(agent),
    halt: (agent, cause) => supervisor.halt(agent, cause),
    cache: { answers: new ResponseCache(clock), ruleOf: (agent) => kept.get(agent) },
    runaway,
    haltRunaway: (agent, cause) => supervisor.haltRunaway(agent, cause),
  };
  const workflows = createWorkflowEngine(() => services, store);
  closing.push(() => Promise.resolve(workflows.close()));
  const starts = startsOf(fleet, workflows, store, clock);
  const narrowed: DoorServices = { ...services, ...atWork(workflows, services, store) };
  const makeDoor = (caller: ConstructorParameters<typeof Door>[1]): Door => new Door(narrowed, caller);
  const supervisor = new Supervisor({
    ...{ store, audit, monitor, inboxes, topics, backend, clock, ids, makeDoor },
    boardNews: boardNews(board.watches, matrix),
    forget: (agent) => departed(agent, { topics, board, tasks }),
    fleet: await withRootFileSystems(fleet, state, clock, tellStage),
    stateFolder: state,
  });

  const hooks = new HookReceiver({
    ...{ hooks: fleet.hooks, store, audit, monitor, clock, trigger },
    code: (credential, pieces) => messageCode(vault, credential, pieces, { agent: "", destination: "webhooks" }),
  });
  const desk = new Desk(
    {
      ...{ store, audit, monitor, board, inboxes, supervisor },
      credentials: deskCredentials(vault, { state, key, fleet, providers, sources, signal: tending.signal }),
      runs: deskRuns(workflows, fleet, { clock }),
      hooks,
      money: money.desk(ledger, operator),
      status: async () => ({
        fleet: fleet.name,
        version,
        startedAtMs,
        backend: backend.name,
        agents: withTenants(fleet, await supervisor.status()),
        circuits: circuits.open,
      }),
      costs: () => ({
        currency: "micro-USD",
        priceSource: prices.source,
        lines: ledger.lines(scopes.all),
        totals: ledger.totals(),
        scopes: ledger.usage(),
      }),
      verifyAudit: () => verifyAudit(store.query, { publicKey: key.auditSigner.publicKey, macKey: key.auditMac }),
      shutdown: () => end.resolve(0),
    },
    new DeskToken(state, randomBytes),
    [{ token: new DeskToken(state, randomBytes, deskFiles.hookToken), route: "POST /v1/hooks/*" }],
  );
  await desk.listenOnSocket(join(state, deskFiles.socket));
  closing.push(() => desk.close());
  if (options.listen !== undefined) await desk.listenOnPort(...addressOf(options.listen));
  closing.push(() => supervisor.stop());
  await supervisor.reconcile();
  await workflows.recover();
  closing.push(() => Promise.resolve(scheduler.stop()));
  closing.push(() => Promise.resolve(taskWatch.stop()));
  taskWatch.run().catch((error: unknown) => fail(`cordon: the watch over tasks has stopped: ${String(error)}\n`));
  scheduler.run().catch((error: unknown) => fail(`cordon: the schedule has stopped: ${String(error)}\n`));
  for (const task of [tendVault(vault, clock, tending.signal), sources.keeper.run(tending.signal)])
    task.catch((error: unknown) => fail(`cordon: the vault: ${String(error)}\n`));
  process.stdout.write('{"ready":true}\n');
  supervisor.start().catch((error: unknown) => fail(`cordon: the fleet could not be started: ${String(error)}\n`));
}

/** For who waits for `ready`, which packages can hold up for minutes. */
const tellStage = (stage: string): void => void process.stdout.write(`${JSON.stringify({ stage })}\n`);

/** `budget.warning` at 80 % and 95 %, `budget.forecast` when the day will not be enough: each once a window. */
function tellBudget(monitor: Monitor, { kind, scope, ...about }: BudgetNotice): void {
  const agent = scope.startsWith("agent:") ? (scope.slice("agent:".length).split(">")[0] ?? null) : null;
  monitor.emit(`budget.${kind}`, agent, { scope, ...about });
}

function withTenants({ tenants = [] }: Fleet, agents: readonly AgentStatus[]): AgentStatus[] {
  const names = new Map(tenants.flatMap(({ name, members }) => members.map((member) => [member, name])));
  return agents.map((agent) => {
    const tenant = names.get(agent.name);
    return tenant === undefined ? agent : { ...agent, tenant };
  });
}

/** A provider of the fleet file has one price for all its models. */
function statedPrices(fleet: Fleet): PriceOverride[] {
  const links = [...(fleet.chains?.values() ?? [])].flatMap((chain) => chain.links);
  return [...fleet.agents, ...links.map((model) => ({ model, may: { models: [] } }))].flatMap(({ model, may }) => {
    const named = (may.models ?? []).map((id) => ({
      provider: id.slice(0, id.indexOf("/")),
      model: id.slice(id.indexOf("/") + 1),
    }));
    return [model, ...named].flatMap((each) => {
      const provider = fleet.providers.find(({ name }) => name === each.provider);
      return provider ? [{ ...each, inputRate: provider.price.input, outputRate: provider.price.output }] : [];
    });
  });
}

function endWithStarter(end: () => void): void {
  process.stdin.once("end", end).once("error", end).resume();
  // Waiting for it must not keep a mesh alive that has ended otherwise.
  process.stdin.unref();
}

/** `--input` and `--output` stand in for the folders of the fleet file. */
function withFolders(fleet: Fleet, { input, output }: MeshOptions): Fleet {
  const { read, write } = fleet.files;
  return {
    ...fleet,
    files: { read: input === undefined ? read : resolve(input), write: output === undefined ? write : resolve(output) },
  };
}

function addressOf(listen: string): readonly [host: string, port: number] {
  const match = /^(127\.0\.0\.1|localhost|\[::1\]|[^:]+):(\d{1,5})$/.exec(listen);
  if (!match || Number(match[2]) > 65_535)
    throw new CommandError(`\`--listen ${listen}\` is not HOST:PORT: use for example 127.0.0.1:7717`);
  return [(match[1] ?? "").replace(/^\[|\]$/g, ""), Number(match[2])];
}
