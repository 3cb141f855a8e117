import { CredentialInput, type CredentialPage, type CredentialUsage } from "../../../protocol/credential.ts";
import { limits } from "../../../protocol/limits.ts";
import { Name } from "../../../protocol/names.ts";
import { nearest } from "../../../lib/nearest.ts";
import { parseDuration } from "../../../lib/units.ts";
import { jsonOption, stateOptions, type Command, type Context, type Input } from "../command.ts";
import type { CredentialOptions } from "../desk-client.ts";
import { Failure, usageFailure, type ExitCode } from "../failure.ts";
import { askDeskOr, meshJson } from "../mesh-offline.ts";
import { meshFailure, runMesh } from "../mesh-process.ts";
import { passphraseOption, unlocking } from "../passphrase.ts";
import { login } from "../login.ts";
import { placesOf } from "../places.ts";
import { readSecret } from "../secret-input.ts";
import { isoTime } from "./audit.ts";
import { bind, bindOptions } from "./credential-bind.ts";

const verbs: Readonly<Record<string, (input: Input, context: Context) => Promise<ExitCode>>> = {
  add: (input, context) => put(input, context, "new"),
  rotate: (input, context) => put(input, context, "known"),
  revoke,
  list,
  show,
  usage,
  login,
  bind,
};

export const credential: Command = {
  name: "credential",
  summary: "the keys that the mesh puts into requests; no agent ever sees one",
  usage: "add NAME | rotate NAME | revoke NAME | list | show NAME | usage | login NAME | bind NAME",
  options: {
    expires: { value: "30d", help: "add, rotate: the value is refused after that time" },
    overlap: { value: "1h", help: "rotate: how long the old value is still kept out of answers (default: 1h)" },
    ...bindOptions,
    ...passphraseOption,
    ...jsonOption,
    ...stateOptions,
  },
  words: [1, 3],
  notes: [
    "`add` and `rotate` ask for the value without showing it, or read it from standard input: cordon credential add anthropic < key.txt",
    "`bind` prints what to write into the fleet file, so that requests to a place get it; the file itself is yours",
    "`usage` says who has used what, where, and what the fleet file permits that nobody has ever used",
  ],
  async run(input, context) {
    const [verb = "", name, value] = input.words;
    const run = Object.hasOwn(verbs, verb) ? verbs[verb] : undefined;
    if (!run) {
      const near = nearest(verb, Object.keys(verbs));
      throw usageFailure(
        `\`cordon credential\` cannot \`${verb}\``,
        near ? `did you mean \`cordon credential ${near}\`` : `say ${Object.keys(verbs).join(", ")}`,
      );
    }
    if (value !== undefined) throw valueOnCommandLine();
    if (verb !== "list" && verb !== "usage") requireName(verb, name);
    return run(input, context);
  },
};

function requireName(verb: string, name: string | undefined): void {
  if (name === undefined)
    throw usageFailure(`\`cordon credential ${verb}\` needs a name`, `cordon credential ${verb} NAME`);
  const form = Name.safeParse(name);
  if (!form.success)
    throw usageFailure(`\`${name}\` is no name: ${form.error.issues[0]?.message}`, "for example `anthropic`");
}

const valueOnCommandLine = (): Failure =>
  usageFailure(
    "a credential's value is not taken from the command line: other users can read it there, and the shell keeps it in its history",
    "give the name alone and enter the value when asked, or pipe it in; if that was a real value, replace it with a new one",
  );

async function put(input: Input, context: Context, expect: "new" | "known"): Promise<ExitCode> {
  const [verb = "", name = ""] = input.words;
  const options: CredentialOptions = {
    expect,
    ...span(input, "expires", "expiresInMs"),
    ...(expect === "known" && {
      overlapMs: limits.credential.overlapMsDefault,
      ...span(input, "overlap", "overlapMs"),
    }),
  };
  const value = await readSecret(`value of \`${name}\` (not shown): `, context);
  try {
    if (value.length === 0) throw new Failure("the value is empty", "enter or pipe in the value");
    const form = CredentialInput.safeParse({ name, valueBase64: value.toString("base64"), ...options });
    if (!form.success) {
      const path = form.error.issues[0]?.path[0];
      if (path === "valueBase64") throw new Failure("the value is too long", "a credential has at most 48 KiB");
      throw usageFailure(
        `\`--${path === "overlapMs" ? "overlap" : "expires"}\` is out of bounds`,
        "give a shorter time",
      );
    }
    const spans = [
      ...(options.expiresInMs === undefined ? [] : ["--expires-ms", String(options.expiresInMs)]),
      ...(options.overlapMs === undefined ? [] : ["--overlap-ms", String(options.overlapMs)]),
    ];
    const { state } = placesOf(input, context);
    await askDeskOr(
      state,
      (desk) => desk.addCredential(name, value, options),
      () => offline([verb, name, ...spans], input, context, value),
    );
  } finally {
    value.fill(0);
  }
  context.terminal.print(
    expect === "new" ? `\`${name}\` is in the vault` : `\`${name}\` has a new value; requests take it from now on`,
  );
  return 0;
}

function span<K extends string>(input: Input, option: string, key: K): { readonly [key in K]?: number } {
  const text = input.text(option);
  if (text === undefined) return {};
  const parsed = parseDuration(text);
  if (!parsed.ok) throw usageFailure(`\`--${option}\`: ${parsed.error}`, `for example \`--${option} 30d\``);
  return { [key]: parsed.value } as { readonly [key in K]?: number };
}

async function revoke(input: Input, context: Context): Promise<ExitCode> {
  const name = input.words[1] ?? "";
  await askDeskOr(
    placesOf(input, context).state,
    (desk) => desk.revokeCredential(name),
    () => offline(["revoke", name], input, context),
  );
  context.terminal.print(`\`${name}\` is revoked: its value is erased, and no request gets it any more`);
  return 0;
}

type Card = CredentialPage["credentials"][number];

async function cards(input: Input, context: Context): Promise<readonly Card[]> {
  const { state } = placesOf(input, context);
  const page = await askDeskOr(
    state,
    (desk) => desk.credentials(),
    async () =>
      meshJson<CredentialPage>(context, ["credential", "list", "--state", state], [0], await unlocking(input, context)),
  );
  return page.credentials;
}

async function list(input: Input, context: Context): Promise<ExitCode> {
  const credentials = await cards(input, context);
  if (input.flag("json")) context.terminal.json({ credentials });
  else if (credentials.length === 0)
    context.terminal.print("no credentials; add one with `cordon credential add NAME`");
  else {
    context.terminal.table(
      ["name", "version", "standing", "fingerprint", "added", "expires", "uses", "last used"],
      credentials.map((one) => [
        one.name,
        String(one.version),
        one.standing,
        one.fingerprint,
        isoTime(one.createdAtMs),
        one.expiresAtMs === null ? "never" : isoTime(one.expiresAtMs),
        String(one.uses),
        one.lastUsedAtMs === null ? "never" : isoTime(one.lastUsedAtMs),
      ]),
    );
  }
  return 0;
}

async function show(input: Input, context: Context): Promise<ExitCode> {
  const name = input.words[1] ?? "";
  const card = (await cards(input, context)).find((one) => one.name === name);
  if (!card) throw new Failure(`no credential \`${name}\``, "see `cordon credential list`");
  const uses = (await usageOf(input, context)).uses.filter((row) => row.name === name);
  if (input.flag("json")) context.terminal.json({ ...card, by: uses });
  else {
    context.terminal.print(`${name}  version ${card.version}, ${card.standing}, fingerprint ${card.fingerprint}`);
    context.terminal.print(
      `added ${isoTime(card.createdAtMs)}; expires ${card.expiresAtMs === null ? "never" : isoTime(card.expiresAtMs)}; ` +
        `${card.retiring} older ${card.retiring === 1 ? "version is" : "versions are"} still kept out of answers`,
    );
    printUses(uses, context);
  }
  return 0;
}

async function usageOf(input: Input, context: Context): Promise<CredentialUsage> {
  const { state } = placesOf(input, context);
  return askDeskOr(
    state,
    (desk) => desk.credentialUsage(),
    async () =>
      meshJson<CredentialUsage>(
        context,
        ["credential", "usage", "--state", state],
        [0],
        await unlocking(input, context),
      ),
  );
}

async function usage(input: Input, context: Context): Promise<ExitCode> {
  const page = await usageOf(input, context);
  if (input.flag("json")) context.terminal.json(page);
  else {
    printUses(page.uses, context);
    for (const { name, agent } of page.idle)
      context.terminal.print(`never used: ${agent} may use \`${name}\`; take it away if it is not needed`);
  }
  return 0;
}

function printUses(uses: CredentialUsage["uses"], context: Context): void {
  if (uses.length === 0) return context.terminal.print("never used");
  context.terminal.table(
    ["name", "agent", "destination", "uses", "refused", "first", "last"],
    uses.map((row) => [
      row.name,
      row.agent || "the mesh",
      row.destination,
      String(row.uses),
      String(row.refusals),
      row.firstUsedAtMs === null ? "never" : isoTime(row.firstUsedAtMs),
      row.lastUsedAtMs === null ? "never" : isoTime(row.lastUsedAtMs),
    ]),
  );
}

async function offline(words: readonly string[], input: Input, context: Context, value?: Uint8Array): Promise<void> {
  const args = ["credential", ...words, "--state", placesOf(input, context).state];
  const { code, stderr } = await runMesh(context, args, value, await unlocking(input, context));
  if (code !== 0) throw meshFailure(stderr, code);
}
