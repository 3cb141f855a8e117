import { limits } from "../../protocol/limits.ts";
import type { Fleet } from "../config/fleet.ts";
import type { Caps } from "../ledger/ledger.ts";
import { worstCase } from "../ledger/price.ts";
import type { Prices } from "../ledger/prices.ts";
import type { StepBudget, Task, Worst } from "./definition.ts";

/**
 * The most that a task can use. A step of an agent makes at most `roundsMax` model calls an attempt; each call reads at
 * most what the agent keeps of a conversation and its instructions twice (a token is at least a byte) and gives at most
 * the agent's longest answer; each price is the dearest of the model. An attempt that passes its time, an agent that does
 * not keep to its rounds and everything else end at a wall of the ledger: the budget of the step, and the agent's and
 * the fleet's caps over the days that the attempts, or the run, can touch. The smallest of these bounds is the worst case.
 */
export interface CostFacts {
  readonly fleet: Fleet;
  readonly prices: Prices;
  readonly priceName: (provider: string) => string;
}

const none: Worst = { attempts: 1, calls: 0, tokens: 0, microUsd: 0 };
const MAX = Number.MAX_SAFE_INTEGER;

/** `runMs`: how long the run can last. */
export function worstOf(task: Task, facts: CostFacts, runMs: number, itemsKnown?: number): Worst {
  const attempts = task.retry.attempts;
  const { work } = task;
  if (work.kind === "agent")
    return priced(within(task.budget, ofAgent(work.agent, task, facts, runMs)), work.agent, facts);
  if (work.kind === "map") {
    const items = Math.min(itemsKnown ?? work.itemsMax, work.itemsMax);
    const each = times(worstOf(work.each, facts, runMs), items);
    return within(task.budget, walled(each, capsOf(work.each, facts), runMs));
  }
  if (work.kind === "workflow") {
    const { steps, budget, timeoutMs } = work.workflow;
    const inner = total(
      steps.map((step) => worstOf(step, facts, timeoutMs)),
      budget,
      facts,
      timeoutMs,
    );
    return within(task.budget, walled(times(inner, attempts), [facts.fleet.budget], runMs));
  }
  return { ...none, attempts };
}

/** The sum, held by the run's own budget and the fleet's. */
export function total(parts: readonly Worst[], budget: StepBudget, facts: CostFacts, runMs: number): Worst {
  const sum = parts.reduce(
    (a, b) => ({
      attempts: add(a.attempts, b.attempts),
      calls: add(a.calls, b.calls),
      tokens: add(a.tokens, b.tokens),
      microUsd: a.microUsd === null || b.microUsd === null ? null : add(a.microUsd, b.microUsd),
    }),
    { ...none, attempts: 0 },
  );
  return within(budget, walled(sum, [facts.fleet.budget], runMs));
}

function ofAgent(name: string, task: Task, facts: CostFacts, runMs: number): Worst {
  const { fleet, prices, priceName } = facts;
  const agent = fleet.agents.find((each) => each.name === name);
  const attempts = task.retry.attempts;
  if (!agent) return { ...none, attempts };
  // Each model of a chain can be asked, and charged for, in turn.
  const links = (agent.chain !== undefined && fleet.chains?.get(agent.chain)?.links.length) || 1;
  const calls = limits.agent.roundsMax * attempts * links;
  const input = contextTokens(Buffer.byteLength(agent.instructions));
  const output = limits.agent.outputTokensMax;
  const price = prices.priceOf(priceName(agent.model.provider), agent.model.model);
  // A pattern lets in models whose prices are not known here.
  const once = price && (agent.may.models ?? []).length + links === 1 ? worstCase(price, input, output, 1) : undefined;
  const worst = times({ ...none, calls: 1, tokens: input + output, microUsd: once?.microUsd ?? null }, calls);
  return { ...walled(worst, capsOf(task, facts), Math.min(runMs, task.timeoutMs * attempts)), attempts, calls };
}

/** A bound on tokens is a bound on money: none costs more than the dearest. */
function priced(worst: Worst, name: string, { fleet, prices, priceName }: CostFacts): Worst {
  const agent = fleet.agents.find((each) => each.name === name);
  const price = agent && prices.priceOf(priceName(agent.model.provider), agent.model.model);
  if (!price || (agent.may.models ?? []).length > 0 || agent.chain !== undefined) return worst;
  const dearest = worstCase(price, 0, worst.tokens, 1).microUsd;
  const dearestInput = worstCase(price, worst.tokens, 0, 1).microUsd;
  return { ...worst, microUsd: Math.min(worst.microUsd ?? Infinity, Math.max(dearest, dearestInput)) };
}

function capsOf({ work }: Task, { fleet }: CostFacts): readonly Caps[] {
  const agent = work.kind === "agent" ? fleet.agents.find(({ name }) => name === work.agent) : undefined;
  if (!agent) return [fleet.budget];
  const groups = [...fleet.teams, ...(fleet.tenants ?? [])].filter(({ members }) => members.includes(agent.name));
  return [agent.budget, ...groups.map(({ budget }) => budget), fleet.budget];
}

/** What lies behind a wall of the ledger cannot be used, however many calls there are. */
function walled(worst: Worst, caps: readonly Caps[], ms: number): Worst {
  if (worst.calls === 0) return worst;
  const walls = caps.map((cap) => capOver(cap, 1 + Math.ceil(ms / DAY_MS)));
  const usd = Math.min(worst.microUsd ?? Infinity, ...walls.map((wall) => wall.usd));
  const tokens = Math.min(worst.tokens, ...walls.map((wall) => wall.tokens));
  return { ...worst, tokens, microUsd: Number.isFinite(usd) ? usd : null };
}

const DAY_MS = 86_400_000;

/** What one call of the built-in agent can read. */
export const contextTokens = (instructionBytes: number): number => limits.agent.historyBytesMax + 2 * instructionBytes;

/** What the caps let pass in so many days. */
function capOver({ day, month }: Caps, days: number): { readonly tokens: number; readonly usd: number } {
  const months = 1 + Math.ceil(days / 28);
  const over = (unit: "tokens" | "usd"): number =>
    Math.min((day[unit] ?? Infinity) * days, (month[unit] ?? Infinity) * months);
  return { tokens: over("tokens"), usd: over("usd") };
}

function within({ tokens, microUsd }: StepBudget, worst: Worst): Worst {
  return {
    ...worst,
    tokens: Math.min(worst.tokens, tokens ?? Infinity),
    microUsd: worst.microUsd === null ? microUsd : Math.min(worst.microUsd, microUsd ?? Infinity),
  };
}

const add = (a: number, b: number): number => Math.min(a + b, MAX);
const times = (worst: Worst, n: number): Worst => ({
  attempts: Math.min(worst.attempts * n, MAX),
  calls: Math.min(worst.calls * n, MAX),
  tokens: Math.min(worst.tokens * n, MAX),
  microUsd: worst.microUsd === null ? null : Math.min(worst.microUsd * n, MAX),
});
