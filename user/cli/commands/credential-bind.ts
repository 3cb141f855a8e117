import { parseJson } from "../../../lib/json.ts";
import type { Context, Input, OptionCard } from "../command.ts";
import { usageFailure, type ExitCode } from "../failure.ts";
import { tint } from "../line.ts";
import { meshFailure, runMesh } from "../mesh-process.ts";
import { placesOf } from "../places.ts";

export const bindOptions = {
  to: { value: "PLACE", help: "bind: `https://HOST/PATH`, or a repository: `git@HOST:PATH`, `ssh://git@HOST/PATH`" },
  in: {
    value: "SURFACE",
    help: "bind: header:NAME, basic, query:NAME, path, form:NAME, json:A.B, websocket, aws:REGION/SERVICE",
  },
  agent: { value: "AGENT", help: "bind: whose requests get it" },
  "host-key": { value: "KEY", help: "bind: of a repository's server, as `SHA256:…` or a line of known_hosts" },
  require: { help: "bind: requests without its placeholder are refused" },
} as const satisfies Record<string, OptionCard>;

/** Prints what to write into the fleet file, found right by the mesh's own reader. It is never written here. */
export async function bind(input: Input, context: Context): Promise<ExitCode> {
  const [, name = ""] = input.words;
  const { fleetFile } = placesOf(input, context);
  const said = {
    to: input.text("to"),
    agent: input.text("agent"),
    in: input.text("in"),
    hostKey: input.text("host-key"),
  };
  if (said.to === undefined || said.agent === undefined)
    throw usageFailure(
      "`cordon credential bind` needs a place and an agent",
      `for example \`cordon credential bind ${name} --to https://api.example.org --in header:x-api-key --agent AGENT\``,
    );
  if (said.in === undefined && said.hostKey === undefined)
    throw usageFailure(
      "it is not said where in a request the credential stands",
      "give `--in`, for example `--in header:authorization`",
    );
  const wish = JSON.stringify({ name, ...said, require: input.flag("require") });
  const { code, stdout, stderr } = await runMesh(context, ["bind", wish, "--fleet", fleetFile]);
  if (code !== 0) throw meshFailure(stderr, code);
  const answer = parseJson(Buffer.from(stdout), 4);
  const { stanza = "", fits = null } = (answer.ok ? answer.value : {}) as { stanza?: string; fits?: boolean | null };
  for (const line of stanza.trimEnd().split("\n")) context.terminal.print(line);
  const told =
    fits === null
      ? "the mesh reads it so; there is no fleet file here yet"
      : `add it to ${fleetFile}${fits ? "" : ", which has mistakes of its own"}`;
  context.terminal.note([tint("good", "ok: "), told]);
  return 0;
}
