import { formatDuration, parseCount, parseUsd } from "../../../lib/units.ts";
import type { ResumeInput } from "../../../protocol/run.ts";
import { jsonOption, stateOptions, type Command, type Context } from "../command.ts";
import { openDesk, type Desk } from "../desk-client.ts";
import { Failure, usageFailure } from "../failure.ts";
import { tint } from "../line.ts";
import { placesOf } from "../places.ts";
import { showRun, toneOf } from "../run-view.ts";

export const runs: Command = {
  name: "runs",
  summary: "list the runs of workflows, look at one, or take it in hand",
  usage:
    "[show|pause|resume|cancel|retry|approve|deny] [RUN] [--from STEP] [--tokens N] [--usd AMOUNT] [--json] [--state DIR]",
  options: {
    from: { value: "STEP", help: "for `retry`: the step to begin anew at" },
    tokens: { value: "N", help: "for `resume`: so many more for the run and for what is held, for example 20k" },
    usd: { value: "AMOUNT", help: "for `resume`: so many more US dollars" },
    ...jsonOption,
    ...stateOptions,
  },
  words: [0, 4],
  notes: [
    "runs show RUN: every step, its state, what it left, and what a person is asked",
    "runs approve RUN STEP HASH: yes to exactly the action that `runs show` prints with this hash; `deny` says no",
    "runs retry RUN --from STEP: begins a run that has ended anew at a step; what was done before it is kept",
  ],
  async run(input, context) {
    const { state } = placesOf(input, context);
    const [word, id, ...rest] = input.words;
    const desk = await openDesk(state);
    if (word === undefined) return list(desk, context, input.flag("json"));
    if (id === undefined) throw usageFailure(`\`cordon runs ${word}\` needs a run`, "see `cordon runs`");
    switch (word) {
      case "show": {
        const run = await desk.run(id);
        if (input.flag("json")) context.terminal.json(run);
        else showRun(context.terminal, run);
        return 0;
      }
      case "resume":
        await desk.resumeRun(id, raiseOf(input.text("tokens"), input.text("usd")));
        return 0;
      case "pause":
      case "cancel":
        await desk.controlRun(id, word);
        return 0;
      case "retry": {
        const from = input.text("from");
        if (from === undefined) throw usageFailure("`cordon runs retry` needs a step", "name it with `--from STEP`");
        await desk.retryRun(id, from);
        return 0;
      }
      case "approve":
      case "deny":
        await answer(desk, id, rest, word === "approve");
        return 0;
      default:
        throw usageFailure(`\`cordon runs\` has no \`${word}\``, "run `cordon runs --help`");
    }
  },
};

function raiseOf(tokens: string | undefined, usd: string | undefined): ResumeInput {
  const more = parseCount(tokens ?? "0");
  const money = parseUsd(usd ?? "0");
  if (!more.ok) throw usageFailure(`\`--tokens\`: ${more.error}`, "use for example `20k`");
  if (!money.ok) throw usageFailure(`\`--usd\`: ${money.error}`, "use for example `0.50`");
  return { tokens: more.value, microUsd: money.value };
}

async function list(desk: Desk, { terminal, clock }: Context, json: boolean): Promise<0> {
  const page = await desk.runs();
  if (json) terminal.json(page);
  else if (page.runs.length === 0) terminal.note(tint("faint", "no runs yet: start one with `cordon run FILE`"));
  else
    terminal.table(
      ["RUN", "WORKFLOW", "STATE", "TOOK", "REASON"],
      page.runs.map(({ id, workflow, status, createdAtMs, finishedAtMs, reason }) => [
        id,
        workflow,
        tint(toneOf(status), status),
        formatDuration((finishedAtMs ?? clock.nowMs()) - createdAtMs),
        reason,
      ]),
    );
  return 0;
}

/** The beginning of the hash is enough for a person; what is sent is the whole one, of what stands there now. */
async function answer(desk: Desk, id: string, [task, start]: readonly string[], approved: boolean): Promise<void> {
  const fix = `see \`cordon runs show ${id}\` for what it asks`;
  if (task === undefined || start === undefined || start.length < HASH_CHARS_MIN)
    throw usageFailure("an answer needs the step and the hash of the action", fix);
  const open = (await desk.run(id)).approvals.find((each) => each.task === task && each.hash.startsWith(start));
  if (!open) throw new Failure(`\`${id}\` does not ask \`${start}\` at \`${task}\``, fix);
  await desk.answerRun(id, { task, hash: open.hash, approved });
}

const HASH_CHARS_MIN = 8;
