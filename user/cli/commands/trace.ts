import { writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { formatDuration, formatUsd } from "../../../lib/units.ts";
import { jsonOption, stateOptions, type Command } from "../command.ts";
import { openDesk } from "../desk-client.ts";
import { codeOf, Failure } from "../failure.ts";
import { tint } from "../line.ts";
import { placesOf } from "../places.ts";
import { statusLine } from "../run-view.ts";
import { otlpOf } from "./trace-otlp.ts";

export const trace: Command = {
  name: "trace",
  summary: "show where the time and the money of a run went, down to each call",
  usage: "RUN [--json] [--otlp FILE] [--state DIR]",
  options: {
    otlp: { value: "FILE", help: "write it as OTLP JSON instead, as a collector takes it at /v1/traces" },
    ...jsonOption,
    ...stateOptions,
  },
  words: [1, 1],
  async run(input, context) {
    const { state } = placesOf(input, context);
    const traced = await (await openDesk(state)).traceRun(input.words[0] ?? "");
    if (input.flag("json")) {
      context.terminal.json(traced);
      return 0;
    }
    const otlp = input.text("otlp");
    if (otlp !== undefined) {
      write(resolve(context.cwd, otlp), otlp, otlpOf(traced, context.clock.nowMs()));
      context.terminal.print(`${traced.spans.length + 1} spans of ${traced.run.id} are in ${otlp}`);
      return 0;
    }
    const { run, spans } = traced;
    const totalMs = Math.max(1, (run.finishedAtMs ?? context.clock.nowMs()) - run.createdAtMs);
    context.terminal.table(
      ["WHAT", "TIME", "", "SPENT", "END"],
      spans.map(({ name, kind, attempt, depth, startMs, endMs, end, tokens, microUsd }) => [
        `${"› ".repeat(depth)}${kind === "step" && attempt > 1 ? `${name} #${attempt}` : name}`,
        formatDuration((endMs ?? totalMs) - startMs),
        tint(kind === "step" ? "accent" : "faint", bar(startMs, endMs ?? totalMs, totalMs)),
        tokens > 0 ? `${tokens} tokens, ${formatUsd(microUsd)}` : "",
        end,
      ]),
    );
    const sum = (of: "tokens" | "microUsd"): number => spans.reduce((total, span) => total + span[of], 0);
    context.terminal.print(
      `trace ${run.id}, begun by ${run.starter}: ${sum("tokens")} tokens, ${formatUsd(sum("microUsd"))}`,
    );
    context.terminal.print(statusLine(run));
    return 0;
  },
};

function write(path: string, named: string, request: object): void {
  try {
    writeFileSync(path, `${JSON.stringify(request)}\n`);
  } catch (error) {
    throw new Failure(`\`${named}\` cannot be written: ${codeOf(error)}`, "choose another file", 2, { cause: error });
  }
}

const BAR_CHARS = 40;

/** Never empty, so that a short step is seen. White space would be folded by the table. */
function bar(startMs: number, endMs: number, totalMs: number): string {
  const from = Math.min(BAR_CHARS - 1, Math.floor((startMs / totalMs) * BAR_CHARS));
  const to = Math.max(from + 1, Math.min(BAR_CHARS, Math.ceil((endMs / totalMs) * BAR_CHARS)));
  return "·".repeat(from) + "█".repeat(to - from) + "·".repeat(BAR_CHARS - to);
}
