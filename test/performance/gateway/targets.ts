/** What one contestant costs; `Us` are microseconds, `Mb` are MiB, `PerCpu` is for each second of CPU. NaN: not measured. */
export interface Figures {
  readonly addedOneP50Us: number;
  readonly addedOneP99Us: number;
  readonly addedSixteenP50Us: number;
  readonly addedSixteenP99Us: number;
  readonly addedFirstUs: number;
  /** Of a provider that rests at no event. */
  readonly addedFirstAtOnceUs: number;
  /** At 16 connections. */
  readonly requestsPerCpu: number;
  readonly requestsPerCpuSixtyFour: number;
  readonly burstPerCpu: number;
  readonly pacedPerCpu: number;
  readonly tlsPerCpu: number;
  readonly tlsPerCpuSixtyFour: number;
  readonly largeCpuUs: number;
  readonly abortMs: number;
  readonly idleMb: number;
  readonly heldMb: number;
}

export interface Target {
  readonly what: string;
  readonly value: number;
  /** Floor, goal, stretch. */
  readonly steps: readonly number[];
  readonly atLeast: boolean;
}

const NAMES = ["floor", "goal", "stretch"] as const;

export function levelOf({ value, steps, atLeast }: Target): "not measured" | "not reached" | (typeof NAMES)[number] {
  if (!Number.isFinite(value)) return "not measured";
  const reached = steps.filter((step) => (atLeast ? value >= step : value <= step)).length;
  return NAMES[reached - 1] ?? "not reached";
}

interface Reads {
  readonly idle: { readonly p99Ms: number };
  readonly busy: { readonly p99Ms: number };
}

export function targets(figures: ReadonlyMap<string, Figures>, board: Reads | undefined): Target[] {
  const ratio = (figure: keyof Figures, other: string): number =>
    (figures.get("Cordon")?.[figure] ?? Number.NaN) / (figures.get(other)?.[figure] ?? Number.NaN);
  const own = (figure: keyof Figures): number => figures.get("Cordon")?.[figure] ?? Number.NaN;
  const most = (what: string, value: number, ...steps: number[]): Target => ({ what, value, steps, atLeast: false });
  const least = (what: string, value: number, ...steps: number[]): Target => ({ what, value, steps, atLeast: true });
  /** How far a mesh of another size is from the plain one, in per cent, either way. */
  const apart = (figure: keyof Figures): number =>
    Math.max(
      ...[...figures.keys()].map((name) =>
        /agents$|rows$/.test(name) ? Math.abs(1 / ratio(figure, name) - 1) * 100 : 0,
      ),
    );
  const sized = [...figures.keys()].some((name) => /agents$|rows$/.test(name));
  return [
    most("added p50, 1 connection, × nginx", ratio("addedOneP50Us", "nginx"), 2, 1.3, 1),
    least("requests per CPU-second, × nginx", ratio("requestsPerCpu", "nginx"), 0.3, 0.5, 0.7),
    least("the same, 64 connections", ratio("requestsPerCpuSixtyFour", "nginx"), 0.3, 0.5, 0.7),
    least("requests per CPU-second, × Portkey", ratio("requestsPerCpu", "Portkey"), 6, 11, 16),
    most("first token added, µs", own("addedFirstUs"), 250, 100, 66),
    most("the same, of a provider that rests at no event", own("addedFirstAtOnceUs"), 250, 100, 66),
    least("paced chunks per CPU-second, × nginx", ratio("pacedPerCpu", "nginx"), 0.5, 0.7, 0.95),
    least("TLS: requests per CPU-second, × nginx", ratio("tlsPerCpu", "nginx"), 0.4, 0.6),
    least("the same, 64 connections", ratio("tlsPerCpuSixtyFour", "nginx"), 0.4, 0.6),
    most("260 kB bodies, CPU × nginx", ratio("largeCpuUs", "nginx"), 4.5, 2.5),
    most("abort until the provider is let go, ms", own("abortMs"), 50, 10),
    most("1,000 idle streams, MB", own("heldMb"), 300, 200),
    most("other sizes: requests per CPU-second apart, %", sized ? apart("requestsPerCpu") : Number.NaN, 10),
    most("other sizes: burst chunks per CPU-second apart, %", sized ? apart("burstPerCpu") : Number.NaN, 10),
    most("board read p99 beside 16 streams, × idle", board ? board.busy.p99Ms / board.idle.p99Ms : Number.NaN, 2),
  ];
}
