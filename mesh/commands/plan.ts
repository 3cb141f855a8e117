import { writeFileSync } from "node:fs";
import { systemClock, type Clock } from "../../lib/clock.ts";
import { parseJson, type Json } from "../../lib/json.ts";
import { limits } from "../../protocol/limits.ts";
import type { Fleet } from "../config/fleet.ts";
import { loadFleet } from "../config/load.ts";
import { builtInProviders, type Provider } from "../egress/providers.ts";
import { createPrices } from "../ledger/prices.ts";
import type { MeshOptions } from "../main.ts";
import { matrixOf } from "../policy/matrix.ts";
import { loadWorkflow } from "../workflow/load.ts";
import { drawText } from "../workflow/picture.ts";
import { drawPage } from "../workflow/picture-page.ts";
import { isAllowed, planWorkflow, type PlanFacts } from "../workflow/plan.ts";
import { CommandError } from "./failure.ts";

/**
 * `plan FILE`: what a run of this workflow could do, before anything does. Prints `{ allowed, plan, picture, findings }`;
 * `plan` is null when the file cannot be read as a workflow. `output`: also a page with the picture. Exit code 1: not allowed.
 */
export function plan({ fleet, input, output }: MeshOptions, [file]: readonly string[]): number {
  if (file === undefined) throw new CommandError("no workflow is named: give its file");
  const facts = planFacts(loadFleet(fleet ?? "cordon.yaml"), systemClock);
  const compiled = loadWorkflow(file);
  if (!compiled.ok) {
    print({ allowed: false, plan: null, picture: [], findings: compiled.error });
    return 1;
  }
  const planned = planWorkflow(compiled.value, facts, input === undefined ? undefined : inputOf(input));
  if (output !== undefined) writeFileSync(output, drawPage(planned));
  const allowed = isAllowed(planned);
  print({ allowed, plan: planned, picture: drawText(planned.workflow), findings: planned.findings });
  return allowed ? 0 : 1;
}

/** What a plan must know of a fleet. */
export function planFacts(fleet: Fleet, clock: Clock): PlanFacts {
  const providers = new Map<string, Provider>(Object.entries(builtInProviders));
  for (const { name, api, baseUrl, credential } of fleet.providers)
    providers.set(name, { name, apis: [api], baseUrl, credential, priceList: null });
  const stated = fleet.agents.flatMap(({ model }) => {
    const provider = fleet.providers.find(({ name }) => name === model.provider);
    return provider ? [{ ...model, inputRate: provider.price.input, outputRate: provider.price.output }] : [];
  });
  return {
    fleet,
    matrix: matrixOf(fleet),
    providers,
    prices: createPrices({ clock, overrides: stated }),
    priceName: (provider) => providers.get(provider)?.priceList ?? provider,
  };
}

function inputOf(text: string): Json {
  const parsed = parseJson(Buffer.from(text), limits.door.jsonDepthMax);
  if (!parsed.ok) throw new CommandError(`the input is refused, ${parsed.error}: give JSON`);
  return parsed.value;
}

const print = (value: object): void => void process.stdout.write(`${JSON.stringify(value)}\n`);
