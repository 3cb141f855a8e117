import type { Kind } from "./calls.ts";
import { median, type Sample, type Samples } from "./course.ts";
import { EVENTS } from "./provider-answers.ts";
import { levelOf, targets, type Figures } from "./targets.ts";
import { HELD_STREAMS, type abortMs, type boardReads, type heldStreams } from "./single-trials.ts";

export interface Results {
  readonly rounds: number;
  /** Of load on each before the first round. */
  readonly warmS: number;
  /** What it costs to have something on the disk of the states: it is in all that waits for a decision. */
  readonly flushUs: number;
  /** The same after a rest as between two paced answers. */
  readonly restedFlushUs: number;
  readonly rows: number;
  readonly samples: Samples;
  readonly trials: {
    readonly abort: Awaited<ReturnType<typeof abortMs>>;
    readonly held: Awaited<ReturnType<typeof heldStreams>>;
    readonly board: Awaited<ReturnType<typeof boardReads>>;
  };
}

/** Prints what was measured of each contestant, then each target with the level that was reached, then all of it as JSON. */
export function printReport({ rounds, warmS, flushUs, restedFlushUs, rows, samples, trials }: Results): void {
  const figures = figuresOf(samples, trials);
  const columns: readonly (readonly [title: string, figure: keyof Figures, digits: number])[] = [
    ["added p50 1 µs", "addedOneP50Us", 0],
    ["p99 1 µs", "addedOneP99Us", 0],
    ["p50 16 µs", "addedSixteenP50Us", 0],
    ["p99 16 µs", "addedSixteenP99Us", 0],
    ["req/cpu-s", "requestsPerCpu", 0],
    ["64 connections", "requestsPerCpuSixtyFour", 0],
    ["burst chunks", "burstPerCpu", 0],
    ["paced chunks", "pacedPerCpu", 0],
    ["first µs", "addedFirstUs", 0],
    ["at once", "addedFirstAtOnceUs", 0],
    ["260 kB cpu-µs", "largeCpuUs", 0],
    ["tls req/cpu-s", "tlsPerCpu", 0],
    ["64 connections", "tlsPerCpuSixtyFour", 0],
    ["abort ms", "abortMs", 2],
    ["idle MB", "idleMb", 0],
    ["held MB", "heldMb", 0],
  ];
  console.log(`${"".padEnd(13)}${columns.map(([title]) => title.padStart(15)).join("")}`);
  for (const [name, own] of figures) {
    const cells = columns.map(([, figure, digits]) => shown(own[figure], digits).padStart(15));
    console.log(`${name.padEnd(13)}${cells.join("")}`);
  }
  const { board, held } = trials;
  if (board) {
    const of = ({ reads, p50Ms, p99Ms }: (typeof board)["idle"]): string =>
      `p50 ${p50Ms.toFixed(2)} ms, p99 ${p99Ms.toFixed(2)} ms (${reads} reads)`;
    console.log(`\nboard read: idle ${of(board.idle)}; beside 16 streams ${of(board.busy)}`);
  }
  console.log(
    `warmed up: each with ${warmS.toFixed(0)} s of the same load; a flush to the disk: p50 ${flushUs.toFixed(0)} µs, after a rest ${restedFlushUs.toFixed(0)} µs, which the added times hold`,
  );
  console.log(`held streams: ${held.get("Cordon")?.count ?? 0}\n`);
  const lines = targets(figures, board).map((target) => ({ ...target, level: levelOf(target) }));
  for (const { what, value, steps, atLeast, level } of lines)
    console.log(
      `${what.padEnd(52)} ${value.toFixed(2).padStart(8)}  ${atLeast ? "≥" : "≤"} ${steps.join(" → ").padEnd(20)} ${level}`,
    );
  console.log(
    `\n${JSON.stringify({ rounds, warmS, flushUs, restedFlushUs, rows, figures: Object.fromEntries(figures), targets: lines, board })}`,
  );
}

const shown = (value: number | undefined, digits: number): string =>
  value === undefined || Number.isNaN(value) ? "–" : value.toFixed(digits);

function figuresOf(samples: Samples, { abort, held }: Results["trials"]): ReadonlyMap<string, Figures> {
  const mid = (name: string, kind: Kind, field: keyof Sample): number =>
    median((samples.get(name)?.get(kind) ?? []).map((sample) => sample[field]));
  const figures = new Map<string, Figures>();
  for (const name of samples.keys()) {
    const added = (kind: Kind, field: keyof Sample): number =>
      (mid(name, kind, field) - mid("direct", kind, field)) * 1_000;
    figures.set(name, {
      addedOneP50Us: added("one", "p50Ms"),
      addedOneP99Us: added("one", "p99Ms"),
      addedSixteenP50Us: added("sixteen", "p50Ms"),
      addedSixteenP99Us: added("sixteen", "p99Ms"),
      addedFirstUs: added("first", "firstP50Ms"),
      addedFirstAtOnceUs: added("firstAtOnce", "firstP50Ms"),
      requestsPerCpu: mid(name, "sixteen", "perCpuSecond"),
      requestsPerCpuSixtyFour: mid(name, "sixtyFour", "perCpuSecond"),
      burstPerCpu: mid(name, "burst", "perCpuSecond") * EVENTS,
      pacedPerCpu: mid(name, "paced", "perCpuSecond") * EVENTS,
      tlsPerCpu: mid(name, "tls", "perCpuSecond"),
      tlsPerCpuSixtyFour: mid(name, "tlsSixtyFour", "perCpuSecond"),
      largeCpuUs: 1e6 / mid(name, "large", "perCpuSecond"),
      abortMs: abort.get(name)?.medianMs ?? Number.NaN,
      idleMb: held.get(name)?.idleMiB ?? Number.NaN,
      // A short look holds fewer, which says nothing of a thousand.
      heldMb: held.get(name)?.count === HELD_STREAMS ? (held.get(name)?.heldMiB ?? Number.NaN) : Number.NaN,
    });
  }
  return figures;
}
