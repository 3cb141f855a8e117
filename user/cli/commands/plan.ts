import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { parseJson } from "../../../lib/json.ts";
import { formatUsd } from "../../../lib/units.ts";
import { jsonOption, stateOptions, type Command, type Context } from "../command.ts";
import { Failure } from "../failure.ts";
import { tint, type Tone } from "../line.ts";
import { meshFailure, runMesh } from "../mesh-process.ts";
import { placesOf, requireFleetFile } from "../places.ts";

/** What the mesh prints; see mesh/commands/plan.ts. */
interface Answer {
  readonly allowed: boolean;
  readonly plan: {
    readonly digest: string;
    readonly fleet: string;
    readonly workflow: { readonly name: string };
    readonly steps: readonly PlannedStep[];
    readonly worst: Worst;
  } | null;
  readonly picture: readonly string[];
  readonly findings: readonly Finding[];
}
interface PlannedStep {
  readonly id: string;
  readonly kind: string;
  readonly agent: string | null;
  readonly actions: readonly { readonly verb: string; readonly target: string }[];
  readonly destinations: readonly string[];
  readonly credentials: readonly string[];
  readonly worst: Worst;
}
interface Worst {
  readonly calls: number;
  readonly tokens: number;
  readonly microUsd: number | null;
}
interface Finding {
  readonly severity: "error" | "warning" | "note";
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly message: string;
  readonly fix: string;
}

export const plan: Command = {
  name: "plan",
  summary: "show everything that a workflow can do, before anything does",
  usage: "FILE [--fleet FILE] [--input JSON|@FILE] [--json] [--html FILE]",
  options: {
    fleet: stateOptions.fleet,
    input: { value: "JSON|@FILE", help: "check it for this input alone" },
    html: { value: "FILE", help: "also write a page with the picture" },
    ...jsonOption,
  },
  words: [1, 1],
  notes: ["The exit code is 0 when a run would be allowed, 1 when not."],
  async run(input, context) {
    const places = placesOf(input, context);
    requireFleetFile(places);
    const html = input.text("html");
    const given = input.text("input");
    const { code, stdout, stderr } = await runMesh(context, [
      ...["plan", input.words[0] ?? "", "--fleet", places.fleetFile],
      ...(given === undefined ? [] : ["--input", textOf(given, context)]),
      ...(html === undefined ? [] : ["--output", resolve(context.cwd, html)]),
    ]);
    const parsed = parseJson(Buffer.from(stdout), 64);
    if (!parsed.ok) throw meshFailure(stderr, code);
    const answer = parsed.value as unknown as Answer;
    if (input.flag("json")) context.terminal.json(answer);
    else show(answer, context);
    return answer.allowed ? 0 : 1;
  },
};

function textOf(given: string, { cwd }: Context): string {
  if (!given.startsWith("@")) return given;
  try {
    return readFileSync(resolve(cwd, given.slice(1)), "utf8");
  } catch {
    throw new Failure(`\`${given.slice(1)}\` cannot be read`, "name a file with JSON, or give the JSON itself");
  }
}

function show({ allowed, plan: planned, picture, findings }: Answer, { terminal }: Context): void {
  for (const line of picture) terminal.print(line);
  if (planned) {
    terminal.print("");
    const rows = planned.steps.map((step) => [
      tint("strong", step.id),
      step.agent ?? step.kind,
      step.actions.map(({ verb, target }) => `${verb} ${target}`).join(", ") || "nothing",
      [...step.destinations, ...step.credentials.map((name) => `with ${name}`)].join(", ") || "nobody",
      showWorst(step.worst),
    ]);
    terminal.table(["step", "who", "can do", "speaks to", "at most"], rows);
    terminal.print("");
    terminal.print([tint("strong", "at most in all: "), showWorst(planned.worst)]);
    terminal.print([tint("faint", `plan ${planned.digest}`)]);
  }
  for (const { severity, file, line, column, message, fix } of findings) {
    terminal.print([tint(TONES[severity], `${severity}: `), `${file}:${line}:${column}: ${message}`]);
    terminal.print([tint("faint", "  fix: "), fix]);
  }
  terminal.print(allowed ? tint("good", "this plan may run") : tint("bad", "this plan may not run"));
}

const TONES: Readonly<Record<Finding["severity"], Tone>> = { error: "bad", warning: "warn", note: "faint" };

const showWorst = ({ calls, tokens, microUsd }: Worst): string =>
  calls === 0 ? "nothing" : `${tokens} tokens, ${microUsd === null ? "money without a bound" : formatUsd(microUsd)}`;
