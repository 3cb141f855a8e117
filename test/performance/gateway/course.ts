import type { ChildProcess } from "node:child_process";
import type { Kind, Load } from "./calls.ts";
import type { Measured, Slice } from "./client.ts";
import { answerOf, QUOTA, type Contestant } from "./contestants.ts";
import { cpuSeconds } from "./process-costs.ts";

/** One slice of one contestant. */
export interface Sample {
  readonly calls: number;
  readonly perSecond: number;
  /** Of the gateway; NaN of the direct way. */
  readonly perCpuSecond: number;
  readonly firstP50Ms: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** By contestant and kind, one of each round. */
export type Samples = Map<string, Map<Kind, Sample[]>>;

/** What a gateway still has to write down when the client has its answer is its cost, too. */
const AFTERMATH_MS = 40;

export class Course {
  readonly #client: ChildProcess;
  readonly loads: Readonly<Record<Kind, Load>>;

  constructor(client: ChildProcess, kinds: Readonly<Record<Kind, Load>>) {
    this.#client = client;
    this.loads = kinds;
  }

  /** Of load on each contestant in one round, over all kinds. */
  get roundSeconds(): number {
    return Object.values(this.loads).reduce((sum, { ms }) => sum + ms, 0) / 1_000;
  }

  /**
   * Every kind, and in each all contestants one after the other, so that a noisy moment hits none of them alone. Without
   * `samples` it warms up, which all do alike.
   */
  async round(contestants: readonly Contestant[], samples?: Samples): Promise<void> {
    for (const kind of Object.keys(this.loads) as Kind[])
      for (const contestant of contestants) {
        const sample = !samples || belongs(contestant, kind) ? await this.#slice(contestant, kind) : undefined;
        if (!sample || !samples) continue;
        const own = samples.get(contestant.name) ?? new Map<Kind, Sample[]>();
        samples.set(contestant.name, own.set(kind, [...(own.get(kind) ?? []), sample]));
      }
  }

  async #slice(contestant: Contestant, kind: Kind): Promise<Sample | undefined> {
    const load = this.loads[kind];
    const places = await contestant.places(/^tls/.test(kind) ? "tls" : "plain", load.connections * load.doors);
    if (!places) return undefined;
    const before = contestant.pid === undefined ? Number.NaN : cpuSeconds(contestant.pid);
    const measured = await this.measure(this.#client, contestant, load, places);
    await new Promise((resolve) => setTimeout(resolve, AFTERMATH_MS));
    const cpu = contestant.pid === undefined ? Number.NaN : cpuSeconds(contestant.pid) - before;
    return sampleOf(measured, cpu);
  }

  async measure(
    client: ChildProcess,
    contestant: Contestant,
    load: Load,
    places: readonly string[],
    pauseMs?: number,
  ): Promise<Measured> {
    const { connections, ms, ending } = load;
    const request = contestant.asked(load.request);
    return (await asked(client, contestant.name, {
      ...{ places, connections, quota: QUOTA, ms, request, ending },
      ...(pauseMs === undefined ? {} : { pauseMs }),
    } satisfies Slice)) as Measured;
  }
}

/** Of the meshes that are there for their size alone only the plain figures are wanted. */
const belongs = ({ name }: Contestant, kind: Kind): boolean =>
  !/agents$|rows$/.test(name) || kind === "sixteen" || kind === "burst";

export async function asked(client: ChildProcess, name: string, question: object): Promise<unknown> {
  client.send(question);
  const answer = (await answerOf(client, "the client")) as { readonly value: unknown } | { readonly error: string };
  if ("error" in answer) throw new Error(`${name}: ${answer.error}`);
  return answer.value;
}

function sampleOf({ calls, seconds, firstMs, wholeMs }: Measured, cpu: number): Sample {
  return {
    calls,
    perSecond: calls / seconds,
    perCpuSecond: calls / cpu,
    firstP50Ms: quantile(firstMs, 0.5),
    p50Ms: quantile(wholeMs, 0.5),
    p99Ms: quantile(wholeMs, 0.99),
  };
}

export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);
