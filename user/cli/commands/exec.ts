import { stateOptions, type Command } from "../command.ts";
import { openDesk } from "../desk-client.ts";
import { usageFailure } from "../failure.ts";
import { placesOf } from "../places.ts";

export const exec: Command = {
  name: "exec",
  summary: "run a command inside an agent's sandbox, to look at it (recorded in the audit)",
  usage: "AGENT [--state DIR] -- COMMAND [WORDS]",
  options: { ...stateOptions },
  words: [1, 1],
  trailing: true,
  notes: ["It runs within the agent's own fence and limits. Its exit code is printed; this command ends with 0 or 1."],
  async run(input, context) {
    if (input.trailing.length === 0) {
      throw usageFailure(
        "`cordon exec` needs a command",
        "write it after `--`: cordon exec AGENT -- /bin/node --version",
      );
    }
    const desk = await openDesk(placesOf(input, context).state);
    const result = await desk.exec(input.words[0] ?? "", input.trailing);
    if (result.stdout) context.terminal.print(result.stdout.replace(/\n$/, ""));
    if (result.stderr) context.terminal.note(result.stderr.replace(/\n$/, ""));
    if (result.truncated) context.terminal.note("output was cut at the desk's limit");
    if (result.exitCode !== 0) context.terminal.note(`the command ended with exit code ${result.exitCode}`);
    return result.exitCode === 0 ? 0 : 1;
  },
};
