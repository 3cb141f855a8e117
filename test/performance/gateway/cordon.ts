/**
 * A mesh without sandboxes: the real doors on their sockets, and behind them the real rooms as `serve` wires them, with
 * everything on. Each door is that of another agent, and is used up after as many calls as one sandbox gets at once.
 */
import { randomBytes } from "node:crypto";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { systemClock as clock } from "../../../lib/clock.ts";
import { randomId as ids } from "../../../lib/id.ts";
import { Secret } from "../../../lib/redact.ts";
import { createAudit } from "../../../mesh/audit/create.ts";
import { Blackboard } from "../../../mesh/blackboard/blackboard.ts";
import { Inboxes } from "../../../mesh/bus/inboxes.ts";
import { Requests } from "../../../mesh/bus/requests.ts";
import { Topics } from "../../../mesh/bus/topics.ts";
import { openKey } from "../../../mesh/commands/state-key.ts";
import { loadFleet } from "../../../mesh/config/load.ts";
import { denialsByCaller } from "../../../mesh/door/denials.ts";
import { Door } from "../../../mesh/door/door.ts";
import type { DoorServices } from "../../../mesh/door/services.ts";
import { Injector } from "../../../mesh/egress/credentials.ts";
import { BodyMemory } from "../../../mesh/http/body-memory.ts";
import { ModelGateway } from "../../../mesh/egress/model-gateway.ts";
import { builtInProviders, type Provider } from "../../../mesh/egress/providers.ts";
import { Orchestrator } from "../../../mesh/orchestrator/orchestrator.ts";
import { selvesOf } from "../../../mesh/fleet/self.ts";
import { createLedger } from "../../../mesh/ledger/create.ts";
import { createPrices } from "../../../mesh/ledger/prices.ts";
import { ScopeTree } from "../../../mesh/ledger/scope-tree.ts";
import { Monitor } from "../../../mesh/monitor/monitor.ts";
import { matrixOf } from "../../../mesh/policy/matrix.ts";
import { openStore } from "../../../mesh/store/open.ts";
import { FileTools } from "../../../mesh/tools/files.ts";
import { Vault } from "../../../mesh/vault/vault.ts";

const [, , folder = "", port = "", tlsPort = "", count = "10"] = process.argv;
const BUDGET = "{ day: { usd: 1000000, tokens: 100000000000 }, month: { usd: 10000000 } }";
const names = Array.from({ length: Number(count) }, (_, n) => `a${n}`);
const provider = (url: string): string =>
  `{ api: openai, base_url: "${url}/v1", credential: bench, price: { input: 0.10, output: 0.20 } }`;
const FLEET = `
version: 1
fleet: bench
budget: ${BUDGET}
defaults: { model: bench/json, budget: ${BUDGET} }
providers:
  bench: ${provider(`http://127.0.0.1:${port}`)}
${tlsPort === "0" ? "" : `  tls: ${provider(`https://localhost:${tlsPort}`)}\n`}
teams: { all: { members: [${names.join(", ")}], budget: ${BUDGET} } }
agents:
${names.map((name) => `  ${name}: { instructions: a.md, may: { models: [bench/*${tlsPort === "0" ? "" : ", tls/*"}], blackboard: { read: [mine/*], write: [mine/*] } } }`).join("\n")}
`;
writeFileSync(join(folder, "a.md"), "You ask.");
writeFileSync(join(folder, "cordon.yaml"), FLEET);

const fleet = loadFleet(join(folder, "cordon.yaml"));
const state = join(folder, "state");
const store = await openStore({ path: state });
const key = await openKey(store, state);
const audit = createAudit({ store, clock, signer: key.auditSigner, macKey: key.auditMac });
const scopes = new ScopeTree(fleet);
const ledger = await createLedger({
  ...{ store, audit, clock, ids, timeZone: fleet.timeZone },
  caps: (scope) => scopes.caps(scope),
});
const vault = new Vault({ store, audit, clock, key, random: randomBytes });
await vault.put("bench", new Secret(Buffer.from("sk-bench-0123456789abcdef")), "principal:operator");
const providers = new Map<string, Provider>(Object.entries(builtInProviders));
for (const { name, api, baseUrl, credential } of fleet.providers)
  providers.set(name, { name, apis: [api], baseUrl, credential, priceList: null });
const topics = new Topics(store, clock, ids);
const matrix = matrixOf(fleet);
const price = { inputRate: 100_000, outputRate: 200_000 };
const models = ["json", "burst", "paced", "first", ...Array.from({ length: 1_000 }, (_, n) => `hold.${n}`)];
const inboxes = new Inboxes(store, clock, ids);
const services: DoorServices = {
  ...{ clock, ids, matrix, audit, ledger, topics, providers, scopes },
  monitor: new Monitor(clock),
  board: new Blackboard(store, clock, { appendOnly: fleet.appendOnly }),
  inboxes,
  tasks: new Orchestrator({ store, clock, ids, inboxes }),
  taskWatch: { wake: () => {} },
  requests: new Requests(store, clock, topics),
  gateway: new ModelGateway(clock),
  bodies: new BodyMemory(),
  selves: selvesOf(fleet, matrix, providers),
  modelLimits: new Map(),
  prices: createPrices({
    clock,
    overrides: ["bench", "tls"].flatMap((name) => models.map((model) => ({ provider: name, model, ...price }))),
  }),
  aliases: fleet.models,
  injector: new Injector(vault),
  denials: denialsByCaller({ clock, audit }),
  files: new FileTools(fleet.files, ids),
  halted: () => undefined,
  halt: (agent, cause) => process.stderr.write(`${agent} is halted: ${JSON.stringify(cause)}\n`),
};

let made = 0;
let doors: { readonly door: Door; readonly path: string }[] = [];

/** Fresh doors in the place of those that stood. */
async function openDoors(wanted: number): Promise<string[]> {
  for (const { door, path } of doors) {
    await door.close();
    rmSync(path, { force: true });
  }
  doors = [];
  for (let n = 0; n < wanted; n++) {
    const path = join(folder, `${made}.sock`);
    const door = new Door(services, { agent: names[(made++ * 61) % names.length] ?? "a0", sandbox: "sbx_bench" });
    await door.listen(path);
    doors.push({ door, path });
  }
  return doors.map(({ path }) => `unix:${path}`);
}

process.on("message", ({ doors: wanted }: { readonly doors: number }) => {
  void openDoors(wanted).then((places) => process.send?.(places));
});
process.once("disconnect", () => process.exit(0));
process.send?.("up");
