import { resolve } from "node:path";
import { stateOptions, type Command, type Context, type Input } from "../command.ts";
import { Failure, usageFailure, type ExitCode } from "../failure.ts";
import { askDeskOr } from "../mesh-offline.ts";
import { deskAccepts } from "../mesh-presence.ts";
import { meshFailure, runMesh, type Inherited } from "../mesh-process.ts";
import { passphraseOption, unlocking } from "../passphrase.ts";
import { placesOf } from "../places.ts";
import { readSecret } from "../secret-input.ts";

export const vault: Command = {
  name: "vault",
  summary: "the master key: rotate it, protect it with a passphrase or by a server that wraps it",
  usage: "rotate | protect | unprotect",
  options: {
    "new-passphrase-file": { value: "FILE", help: "protect: the passphrase (default: ask)" },
    transit: { value: "ADDRESS", help: "protect: by the transit engine of this HashiCorp Vault or OpenBao" },
    "transit-key": { value: "NAME", help: "its key (default: cordon)" },
    "transit-mount": { value: "PATH", help: "where the engine is mounted (default: transit)" },
    "transit-namespace": { value: "NAME", help: "namespace of the server, if it has some" },
    "transit-ca": { value: "FILE", help: "certificates in PEM to trust the server by, besides the system's" },
    kms: { value: "ARN", help: "protect: by this key of the AWS Key Management Service" },
    "kms-endpoint": { value: "ADDRESS", help: "where the service is (default: that of the key's region)" },
    ...passphraseOption,
    ...stateOptions,
  },
  words: [1, 1],
  notes: [
    "`rotate` wraps every key anew, also while the fleet works; backups of the state need the key of their time",
    "a keyring of the system gives a passphrase through a pipe: --passphrase-file <(secret-tool lookup service cordon)",
    "for `--kms` the token of `--vault-token-file` is an AWS key: ID:SECRET, or ID:SECRET:SESSION for one that expires",
    "`protect` and `unprotect` change how the key stands on the disk; stop the fleet first",
  ],
  async run(input, context) {
    const verb = input.words[0] ?? "";
    if (verb === "rotate") return rotate(input, context);
    if (verb === "protect" || verb === "unprotect") return change(verb, input, context);
    throw usageFailure(`\`cordon vault\` cannot \`${verb}\``, "say rotate, protect or unprotect");
  },
};

async function rotate(input: Input, context: Context): Promise<ExitCode> {
  await askDeskOr(
    placesOf(input, context).state,
    (desk) => desk.rotateMasterKey(),
    async () => offline(["rotate"], input, context, await unlocking(input, context)),
  );
  context.terminal.print("the vault has a new master key");
  return 0;
}

async function change(verb: "protect" | "unprotect", input: Input, context: Context): Promise<ExitCode> {
  if (await deskAccepts(placesOf(input, context).state))
    throw new Failure("the fleet is running", "stop it with `cordon down` first");
  if (verb === "protect" && (input.text("transit") ?? input.text("kms")) !== undefined)
    return wrapByServer(input, context);
  const fresh = verb === "protect" ? await newPassphrase(input, context) : { args: [] };
  // Of two passphrases that have to be entered, one would have no way in: a protected key is unprotected first.
  const known = fresh.pipe ? { args: [] } : await unlocking(input, context);
  await offline([verb], input, context, { ...known, ...fresh, args: [...known.args, ...fresh.args] });
  context.terminal.print(
    verb === "protect"
      ? "the vault key opens with the passphrase only: without it nothing in the vault can be read again"
      : "the vault key stands without a passphrase, for its owner alone",
  );
  return 0;
}

async function wrapByServer(input: Input, context: Context): Promise<ExitCode> {
  const named = ["transit", "transit-key", "transit-mount", "transit-namespace", "kms", "kms-endpoint"] as const;
  const args = named.flatMap((name) => {
    const value = input.text(name);
    return value === undefined ? [] : [`--${name}`, value];
  });
  const ca = input.text("transit-ca");
  const known = await unlocking(input, context);
  await offline(["protect"], input, context, {
    ...known,
    args: [...known.args, ...args, ...(ca === undefined ? [] : ["--transit-ca", resolve(context.cwd, ca)])],
  });
  context.terminal.print(
    `the vault key opens through ${input.text("transit") ?? input.text("kms")} only: ` +
      "without its key nothing in the vault can be read again",
  );
  return 0;
}

async function newPassphrase(input: Input, context: Context): Promise<Inherited> {
  const file = input.text("new-passphrase-file");
  if (file !== undefined) return { args: ["--new-passphrase-file", resolve(context.cwd, file)] };
  const [first, second] = [
    await readSecret("new passphrase (not shown): ", context),
    context.stdin.isTTY === true ? await readSecret("once more: ", context) : undefined,
  ];
  if (second && !first.equals(second)) throw new Failure("the two passphrases differ", "run the command again");
  second?.fill(0);
  return { args: ["--new-passphrase-file", "/dev/fd/3"], pipe: first };
}

async function offline(words: readonly string[], input: Input, context: Context, inherited: Inherited): Promise<void> {
  const args = ["vault", ...words, "--state", placesOf(input, context).state];
  const { code, stderr } = await runMesh(context, args, undefined, inherited);
  if (code !== 0) throw meshFailure(stderr, code);
}
