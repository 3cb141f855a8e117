import { readArguments } from "./arguments.ts";
import type { Context } from "./command.ts";
import { commands } from "./commands.ts";
import { Failure, usageFailure, type ExitCode } from "./failure.ts";
import { printCommandHelp, printHelp } from "./help.ts";
import { tint } from "./line.ts";
import { nearest } from "../../lib/nearest.ts";
import { Interrupted, processSurroundings, type Surroundings } from "./surroundings.ts";
import { openTerminal } from "./terminal.ts";

/** Runs one command line; resolves with the exit code and never rejects. */
export async function runCli(argv: readonly string[], surroundings: Surroundings): Promise<number> {
  const terminal = openTerminal(surroundings);
  const context: Context = { ...surroundings, terminal };
  try {
    return await dispatch(argv, context);
  } catch (error) {
    terminal.settle();
    if (error instanceof Interrupted) {
      terminal.note(error.message);
      return 1;
    }
    const told = error instanceof Failure;
    const message = error instanceof Error ? error.message : String(error);
    terminal.note([tint("bad", "cordon: "), told ? message : `this is a defect of cordon: ${message}`]);
    if (told && error.fix) terminal.note([tint("strong", "fix: "), error.fix]);
    if (!told && error instanceof Error) terminal.note(tint("faint", error.stack ?? ""));
    return told ? error.exitCode : 1;
  }
}

const aliases: Readonly<Record<string, string>> = {
  "--help": "help",
  "-h": "help",
  "--version": "version",
  "-v": "version",
};

async function dispatch(argv: readonly string[], context: Context): Promise<ExitCode> {
  const [first, ...rest] = argv;
  if (first === undefined) {
    printHelp(context.terminal);
    return 2;
  }
  const name = aliases[first] ?? first;
  if (name === "help") return help(rest, context);
  const command = commandNamed(name);
  const input = readArguments(command, rest);
  if (input.flag("help")) {
    printCommandHelp(command, context.terminal);
    return 0;
  }
  return command.run(input, context);
}

function help(words: readonly string[], context: Context): ExitCode {
  const name = words.find((word) => !word.startsWith("-"));
  if (name === undefined || name === "help") printHelp(context.terminal);
  else printCommandHelp(commandNamed(name), context.terminal);
  return 0;
}

function commandNamed(name: string): (typeof commands)[number] {
  const command = commands.find((one) => one.name === name);
  if (command) return command;
  const near = nearest(name, ["help", ...commands.map((one) => one.name)]);
  throw usageFailure(`there is no command \`${name}\``, near ? `did you mean \`cordon ${near}\`` : "see `cordon help`");
}

if (import.meta.main) {
  const surroundings = processSurroundings();
  // A reader that goes away (`cordon demo | head`) ends the command as a terminal that is closed does: in order, and once.
  let gone = false;
  for (const stream of [surroundings.stdout, surroundings.stderr]) {
    stream.on("error", () => {
      if (!gone) process.kill(process.pid, "SIGHUP");
      gone = true;
    });
  }
  process.exitCode = await runCli(process.argv.slice(2), surroundings);
}
