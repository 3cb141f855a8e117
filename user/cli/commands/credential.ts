import { CredentialInput, type CredentialPage } from "../../../protocol/desk.ts";
import { Name } from "../../../protocol/names.ts";
import { nearest } from "../../../lib/nearest.ts";
import { jsonOption, stateOptions, type Command, type Context } from "../command.ts";
import { Failure, usageFailure, type ExitCode } from "../failure.ts";
import { askDeskOr, meshJson } from "../mesh-offline.ts";
import { meshFailure, runMesh } from "../mesh-process.ts";
import { placesOf } from "../places.ts";
import { readSecret } from "../secret-input.ts";
import { isoTime } from "./audit.ts";

export const credential: Command = {
  name: "credential",
  summary: "add, list or remove the keys that the mesh puts into requests; no agent ever sees one",
  usage: "add NAME | list | remove NAME",
  options: { ...jsonOption, ...stateOptions },
  words: [1, 3],
  notes: [
    "`add` asks for the value without showing it, or reads it from standard input: cordon credential add anthropic < key.txt",
  ],
  async run(input, context) {
    const [verb = "", name, value] = input.words;
    const { state } = placesOf(input, context);
    const near = nearest(verb, ["add", "list", "remove"]);
    if (!["add", "list", "remove"].includes(verb)) {
      throw usageFailure(
        `\`cordon credential\` cannot \`${verb}\``,
        near ? `did you mean \`cordon credential ${near}\`` : "say add, list or remove",
      );
    }
    if (value !== undefined) throw valueOnCommandLine();
    if (verb === "list") return list(state, input.flag("json"), context);
    if (name === undefined)
      throw usageFailure(`\`cordon credential ${verb}\` needs a name`, `cordon credential ${verb} NAME`);
    const form = Name.safeParse(name);
    if (!form.success)
      throw usageFailure(`\`${name}\` is no name: ${form.error.issues[0]?.message}`, "for example `anthropic`");
    return verb === "add" ? add(name, state, context) : remove(name, state, context);
  },
};

const valueOnCommandLine = (): Failure =>
  usageFailure(
    "a credential's value is not taken from the command line: other users can read it there, and the shell keeps it in its history",
    "give the name alone and enter the value when asked, or pipe it in; if that was a real value, replace it with a new one",
  );

async function add(name: string, state: string, context: Context): Promise<ExitCode> {
  const value = await readSecret(`value of \`${name}\` (not shown): `, context);
  try {
    if (value.length === 0) throw new Failure("the value is empty", "enter or pipe in the value");
    if (!CredentialInput.safeParse({ name, valueBase64: value.toString("base64") }).success) {
      throw new Failure("the value is too long", "a credential has at most 48 KiB");
    }
    await askDeskOr(
      state,
      (desk) => desk.addCredential(name, value),
      () => offline(["add", name], state, context, value),
    );
  } finally {
    value.fill(0);
  }
  context.terminal.print(`\`${name}\` is in the vault`);
  return 0;
}

async function remove(name: string, state: string, context: Context): Promise<ExitCode> {
  await askDeskOr(
    state,
    (desk) => desk.removeCredential(name),
    () => offline(["remove", name], state, context),
  );
  context.terminal.print(`\`${name}\` is removed`);
  return 0;
}

async function list(state: string, json: boolean, context: Context): Promise<ExitCode> {
  const page = await askDeskOr(
    state,
    (desk) => desk.credentials(),
    () => meshJson<CredentialPage>(context, ["credential", "list", "--state", state], [0]),
  );
  if (json) context.terminal.json(page);
  else if (page.credentials.length === 0)
    context.terminal.print("no credentials; add one with `cordon credential add NAME`");
  else {
    context.terminal.table(
      ["name", "version", "added", "uses", "last used"],
      page.credentials.map((one) => [
        one.name,
        String(one.version),
        isoTime(one.createdAtMs),
        String(one.uses),
        one.lastUsedAtMs === null ? "never" : isoTime(one.lastUsedAtMs),
      ]),
    );
  }
  return 0;
}

async function offline(words: readonly string[], state: string, context: Context, value?: Uint8Array): Promise<void> {
  const { code, stderr } = await runMesh(context, ["credential", ...words, "--state", state], value);
  if (code !== 0) throw meshFailure(stderr, code);
}
