import type { ExitCode } from "./failure.ts";
import type { Surroundings } from "./surroundings.ts";
import type { Terminal } from "./terminal.ts";

/** One option of a command; `value` names its argument and makes it an option with a value. */
export interface OptionCard {
  readonly help: string;
  readonly value?: string;
  readonly short?: string;
}

export interface Command {
  readonly name: string;
  readonly summary: string;
  /** What stands after `cordon NAME`, for people. */
  readonly usage: string;
  readonly options: Readonly<Record<string, OptionCard>>;
  /** How many words it takes, besides options and what follows `--`. */
  readonly words: readonly [min: number, max: number];
  /** Whether words after `--` belong to it. */
  readonly trailing?: boolean;
  /** More to say under `--help`. */
  readonly notes?: readonly string[];
  run(input: Input, context: Context): Promise<ExitCode>;
}

/** A command line that was found right. */
export interface Input {
  readonly words: readonly string[];
  readonly trailing: readonly string[];
  text(option: string): string | undefined;
  flag(option: string): boolean;
  /** A whole number within bounds, or `fallback` when the option was not given. */
  count(option: string, fallback: number, min: number, max: number): number;
}

export interface Context extends Surroundings {
  readonly terminal: Terminal;
}

export const stateOptions = {
  state: { value: "DIR", help: "state folder (default: `.cordon` beside the fleet file)" },
  fleet: { value: "FILE", help: "fleet file (default: ./cordon.yaml)" },
} as const satisfies Record<string, OptionCard>;

export const jsonOption = { json: { help: "print data instead of text" } } as const satisfies Record<
  string,
  OptionCard
>;
