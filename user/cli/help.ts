import { optionsOf } from "./arguments.ts";
import type { Command } from "./command.ts";
import { commands } from "./commands.ts";
import { tint, type Line } from "./line.ts";
import type { Terminal } from "./terminal.ts";

const groups: readonly (readonly [heading: string, names: readonly string[]])[] = [
  ["start here", ["demo", "init", "check", "up", "down"]],
  [
    "work with a running fleet",
    ["status", "chat", "logs", "events", "exec", "tasks", "costs", "budget", "audit", "hooks"],
  ],
  ["workflows", ["plan", "run", "runs", "replay", "trace"]],
  ["set up", ["credential", "models", "vault", "doctor", "assault", "rehearsal", "version"]],
];

export function printHelp(terminal: Terminal): void {
  terminal.print([tint("strong", "cordon"), " runs fleets of AI agents that nobody has to trust"]);
  terminal.print("");
  terminal.print("usage: cordon COMMAND [options]");
  for (const [heading, names] of groups) {
    terminal.print("");
    terminal.print(tint("faint", heading));
    for (const name of names) {
      const command = commands.find((one) => one.name === name);
      if (command) terminal.print(["  ", tint("accent", name.padEnd(12)), command.summary]);
    }
  }
  terminal.print("");
  terminal.print("`cordon COMMAND --help` tells more; exit codes: 0 done, 1 refused or failed, 2 wrong usage");
}

export function printCommandHelp(command: Command, terminal: Terminal): void {
  terminal.print([tint("strong", `cordon ${command.name}`), `: ${command.summary}`]);
  terminal.print("");
  terminal.print(`usage: cordon ${command.name} ${command.usage}`.trimEnd());
  terminal.print("");
  const options = Object.entries(optionsOf(command)).map(([name, card]): [flags: string, help: Line] => [
    `${card.short ? `-${card.short}, ` : "    "}--${name}${card.value ? ` ${card.value}` : ""}`,
    card.help,
  ]);
  const width = Math.max(...options.map(([flags]) => flags.length)) + 2;
  for (const [flags, help] of options) terminal.print(["  ", tint("accent", flags.padEnd(width)), help].flat());
  for (const note of command.notes ?? []) {
    terminal.print("");
    terminal.print(note);
  }
}
