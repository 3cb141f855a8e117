import { execFileSync, type ChildProcess } from "node:child_process";
import { requestOf } from "./calls.ts";
import type { Measured } from "./client.ts";
import { CORES, started, type Contestant } from "./contestants.ts";
import { asked, median, quantile, type Course } from "./course.ts";
import { residentMiB } from "./process-costs.ts";

const measuredOf = (all: readonly Contestant[]): Contestant[] => all.filter(({ name }) => !/agents$|rows$/.test(name));

/** From the moment at which the client lets go until the provider's connection is closed: the median and the worst. */
export async function abortMs(all: readonly Contestant[], client: ChildProcess, provider: ChildProcess) {
  const results = new Map<string, { readonly medianMs: number; readonly worstMs: number }>();
  for (const contestant of measuredOf(all)) {
    const places = await contestant.places("plain", 1);
    if (!places) continue;
    const times: number[] = [];
    for (let n = 0; n < ABORTS; n++) {
      const request = requestOf(`bench/hold.${n}`, true);
      await asked(client, contestant.name, {
        hold: 1,
        places,
        requests: [contestant.asked(request)],
      });
      const closed = closedAtNs(provider);
      const [goneAtNs = "0"] = (await asked(client, contestant.name, { letGo: true })) as string[];
      times.push(Number((await closed) - BigInt(goneAtNs)) / 1e6);
      // One that waits for the provider will do so the next time.
      if (n >= 1 && (times.at(-1) ?? 0) > PATIENCE_MS / 2) break;
    }
    results.set(contestant.name, { medianMs: median(times), worstMs: Math.max(...times) });
  }
  return results;
}

const ABORTS = 15;
const PATIENCE_MS = 4_000;

/** One that never closes counts as the whole patience. */
function closedAtNs(provider: ChildProcess): Promise<bigint> {
  const { promise, resolve } = Promise.withResolvers<bigint>();
  const onMessage = ({ atNs }: { readonly atNs: string }): void => {
    clearTimeout(given);
    resolve(BigInt(atNs));
  };
  const given = setTimeout(() => {
    provider.off("message", onMessage);
    resolve(process.hrtime.bigint());
  }, PATIENCE_MS);
  provider.once("message", onMessage);
  return promise;
}

export const HELD_STREAMS = 1_000;

/** What is resident with no stream open, and with `count` that wait for their provider. */
export async function heldStreams(all: readonly Contestant[], client: ChildProcess, count: number) {
  const results = new Map<string, { readonly count: number; readonly idleMiB: number; readonly heldMiB: number }>();
  for (const contestant of measuredOf(all)) {
    const places = await contestant.places("plain", Math.ceil(count / 50));
    if (!places || contestant.pid === undefined) continue;
    const idleMiB = residentMiB(contestant.pid);
    const request = requestOf("bench/hold.0", true);
    await asked(client, contestant.name, {
      hold: count,
      places,
      requests: [contestant.asked(request)],
    });
    await new Promise((resolve) => setTimeout(resolve, 300));
    results.set(contestant.name, { count, idleMiB, heldMiB: residentMiB(contestant.pid) });
    await asked(client, contestant.name, { letGo: true });
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  return results;
}

/** A board read of one agent, idle and while sixteen streams of others run as fast as they can, in turns. */
export async function boardReads(all: readonly Contestant[], course: Course) {
  const mesh = all.find(({ name }) => name === "Cordon");
  if (!mesh) return undefined;
  const { child: streams } = await started("./client.ts", [], CORES.load);
  const { child: reader } = await started("./client.ts", [], CORES.load);
  // It shares its core with the load; what it waits for there is not the mesh's doing. A nice value is not enough for that.
  if (process.getuid?.() === 0) execFileSync("chrt", ["--all-tasks", "--fifo", "--pid", "10", String(reader.pid)]);
  const { burst } = course.loads;
  const times: { readonly idle: number[]; readonly busy: number[] } = { idle: [], busy: [] };
  for (let turn = 0; turn < TURNS; turn++) {
    const places = (await mesh.places("plain", 17)) ?? [];
    const tool = (name: string, body: object) => ({
      ...{ connections: 1, doors: 1, ms: burst.ms, ending: "}" },
      request: { path: `/v1/tools/${name}`, headers: "", body: JSON.stringify(body) },
    });
    const own = places.slice(16);
    const read = (): Promise<Measured> => course.measure(reader, mesh, tool("board.read", { key: "mine/a" }), own, 4);
    await course.measure(reader, mesh, { ...tool("board.write", { key: "mine/a", value: "x" }), ms: 100 }, own, 100);
    times.idle.push(...(await read()).wholeMs);
    const load = course.measure(streams, mesh, { ...burst, ms: burst.ms + 200 }, places.slice(0, 16));
    await new Promise((resolve) => setTimeout(resolve, 100));
    times.busy.push(...(await read()).wholeMs);
    await load;
  }
  const of = (list: readonly number[]) => ({
    reads: list.length,
    p50Ms: quantile(list, 0.5),
    p99Ms: quantile(list, 0.99),
  });
  return { idle: of(times.idle), busy: of(times.busy) };
}

const TURNS = 4;
