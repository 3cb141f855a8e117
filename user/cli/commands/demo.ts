import { jsonOption, type Command } from "../command.ts";
import { runDemo } from "../demo/demo.ts";

export const demo: Command = {
  name: "demo",
  summary: "see it work: a fleet that does a job while one of its agents is hijacked",
  usage: "[--input DIR] [--output DIR] [--json]",
  options: {
    input: { value: "DIR", help: "folder of texts to digest (default: the texts of examples/newsroom)" },
    output: { value: "DIR", help: "folder for digest and report (default: ./cordon-demo)" },
    ...jsonOption,
  },
  words: [0, 0],
  notes: ["No key is needed: the agents speak to the rehearsal model. Nothing stays behind but the output folder."],
  run: (input, context) =>
    runDemo(
      { input: input.text("input"), output: input.text("output") ?? "cordon-demo", json: input.flag("json") },
      context,
    ),
};
