import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { parseJson, type Json } from "../../../lib/json.ts";
import { limits } from "../../../protocol/limits.ts";
import type { RunDetail } from "../../../protocol/run.ts";
import { jsonOption, stateOptions, type Command, type Context } from "../command.ts";
import { openDesk, type Desk } from "../desk-client.ts";
import { Failure } from "../failure.ts";
import { tint } from "../line.ts";
import { placesOf } from "../places.ts";
import { isOver, showApproval, statusLine, toneOf } from "../run-view.ts";

export const run: Command = {
  name: "run",
  summary: "plan a workflow file, and run it if the plan is allowed",
  usage: "FILE [--input JSON|@FILE] [--detach] [--json] [--state DIR]",
  options: {
    input: { value: "JSON|@FILE", help: "what the run is started with (default: {})" },
    detach: { help: "print the id of the run and leave it to itself" },
    ...jsonOption,
    ...stateOptions,
  },
  words: [1, 1],
  async run(input, context) {
    const { state } = placesOf(input, context);
    const desk = await openDesk(state);
    const given = input.text("input");
    const { run: id, plan } = await desk.startRun(
      resolve(context.cwd, input.words[0] ?? ""),
      given === undefined ? undefined : inputOf(given, context),
    );
    if (input.flag("detach")) {
      if (input.flag("json")) context.terminal.json({ run: id, plan });
      else context.terminal.print(id);
      return 0;
    }
    if (!input.flag("json")) context.terminal.note(tint("faint", `run ${id}, plan ${plan.slice(0, 12)}`));
    const ended = await follow(desk, id, context, input.flag("json"));
    if (input.flag("json")) context.terminal.json(ended);
    else {
      context.terminal.print(statusLine(ended));
      if (ended.status === "succeeded") context.terminal.print(JSON.stringify(ended.output, null, 2));
    }
    return ended.status === "succeeded" ? 0 : 1;
  },
};

const WAIT_MS = 5_000;

/** Prints each step as it comes to something, until the run has ended. */
export async function follow(desk: Desk, id: string, context: Context, quiet: boolean): Promise<RunDetail> {
  const told = new Set<string>();
  const tell = (key: string, show: () => void): void => {
    if (quiet || told.has(key)) return;
    told.add(key);
    show();
  };
  let next = 0;
  for (;;) {
    const run = await desk.run(id);
    for (const { task, phase, attempt, reason } of run.tasks) {
      tell(`${task} ${phase} ${attempt}`, () =>
        context.terminal.note([tint(toneOf(phase), phase.padEnd(10)), ` ${task}`, reason === "" ? "" : `: ${reason}`]),
      );
    }
    for (const approval of run.approvals) tell(approval.hash, () => showApproval(context.terminal, approval));
    if (isOver(run)) return run;
    do next = (await desk.events(next, WAIT_MS)).next;
    while ((await desk.run(id)).seq === run.seq);
  }
}

function inputOf(given: string, { cwd }: Pick<Context, "cwd">): Json {
  const text = given.startsWith("@") ? readText(resolve(cwd, given.slice(1))) : given;
  const parsed = parseJson(Buffer.from(text), limits.door.jsonDepthMax);
  if (parsed.ok) return parsed.value;
  throw new Failure(
    `\`--input\` is refused: ${parsed.error}`,
    'give JSON, for example `--input \'{"topic": "tides"}\'`',
  );
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new Failure(`\`${path}\` cannot be read (${(error as NodeJS.ErrnoException).code})`, "name a file of JSON");
  }
}
