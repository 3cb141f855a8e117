import assert from "node:assert/strict";
import type { Fleet } from "../../config/fleet.ts";
import { builtInProviders } from "../../egress/providers.ts";
import { createPrices } from "../../ledger/prices.ts";
import { matrixOf } from "../../policy/matrix.ts";
import type { Finding, Plan } from "../definition.ts";
import { parseWorkflow, type Compiled, type LoadFile } from "../parse.ts";
import { planWorkflow, type PlanFacts } from "../plan.ts";
import type { Json } from "../../../lib/json.ts";

const MiB = 1024 * 1024;
const agent = (name: string, may: object, more: object = {}): Fleet["agents"][number] => ({
  name,
  instructions: "You work.",
  model: { provider: "rehearsal", model: "echo" },
  budget: { day: { tokens: 100_000 }, month: {} },
  limits: { memoryBytes: 64 * MiB, cpus: 0.1, pids: 32, diskBytes: MiB },
  isolation: "container",
  command: null,
  code: null,
  may: { message: [], blackboard: { read: [], write: [] }, tools: [], ...may },
  ...more,
});

/** `clean` thinks only; `reader` reads files; `writer` writes out; `keeper` keeps board keys; `caller` has topics. */
export const fleet: Fleet = {
  name: "f",
  timeZone: "UTC",
  files: { read: null, write: null },
  budget: { day: { tokens: 500_000, usd: 5_000_000 }, month: {} },
  appendOnly: [],
  rehearsal: null,
  providers: [],
  schedule: [],
  hooks: [],
  teams: [],
  models: new Map(),
  prices: [],
  agents: [
    agent("clean", {}),
    agent("reader", { tools: ["files.list", "files.read"], message: ["writer"] }),
    agent("writer", { tools: ["files.list", "output.write"] }),
    agent("keeper", { blackboard: { read: ["notes/**"], write: ["notes/*"] } }),
    agent("caller", { topics: { publish: ["news/*"], subscribe: ["news/*"] } }),
  ],
};

export const facts: PlanFacts = {
  fleet,
  matrix: matrixOf(fleet),
  providers: new Map(Object.entries(builtInProviders)),
  prices: createPrices({
    clock: { nowMs: () => 1_800_000_000_000, monotonicMs: () => 0, sleep: () => Promise.resolve() },
  }),
  priceName: (provider) => provider,
};

export const noFile: LoadFile = () => ({ ok: false, error: "there is no such file" });
export const HEAD = "workflow: 1\nname: w\n";

export function compile(text: string, load: LoadFile = noFile): Compiled {
  const parsed = parseWorkflow(text, "w.yaml", load);
  assert.ok(parsed.ok, parsed.ok ? "" : parsed.error.map(show).join("\n"));
  return parsed.value;
}

export const planOf = (text: string, input?: Json, load?: LoadFile): Plan =>
  planWorkflow(compile(text, load), facts, input);

/** `SEVERITY RULE LINE:COLUMN MESSAGE -> FIX` of everything that is found in a text. */
export function findingsOf(text: string, input?: Json, load: LoadFile = noFile): readonly string[] {
  const parsed = parseWorkflow(text, "w.yaml", load);
  return (parsed.ok ? planWorkflow(parsed.value, facts, input).findings : parsed.error).map(show);
}

const show = ({ severity, rule, line, column, message, fix }: Finding): string =>
  `${severity} ${rule} ${line}:${column} ${message} -> ${fix}`;
