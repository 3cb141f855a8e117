import { parseArgs } from "node:util";
import { explain } from "./commands/failure.ts";

/** The trusted process. `commands/` wires rooms together; nothing else does. */
export interface MeshOptions {
  readonly fleet?: string;
  readonly state?: string;
  readonly listen?: string;
  readonly input?: string;
  readonly output?: string;
  readonly port?: string;
  readonly scenario?: string;
  readonly "passphrase-file"?: string;
  readonly "new-passphrase-file"?: string;
  /** Opens, or is to open, the vault key: the token for the server that wraps it. */
  readonly "vault-token-file"?: string;
  readonly transit?: string;
  readonly "transit-key"?: string;
  readonly "transit-mount"?: string;
  readonly "transit-namespace"?: string;
  readonly "transit-ca"?: string;
  readonly kms?: string;
  readonly "kms-endpoint"?: string;
  readonly "expires-ms"?: string;
  readonly "overlap-ms"?: string;
  readonly backend?: string;
  /** Of the docker engine; absent: the usual one. */
  readonly socket?: string;
  readonly "runtime-cmd"?: string;
  /** `serve` ends when its standard input does: whoever started it holds the other end. */
  readonly attached?: boolean;
}

type Command = (options: MeshOptions, words: readonly string[]) => Promise<number> | number;

/** Each resolves with the exit code: 0 done, 1 refused or failed. What a command needs is loaded for it alone. */
const commands: Readonly<Record<string, () => Promise<Command>>> = {
  serve: async () => (await import("./commands/serve.ts")).serve,
  check: async () => (await import("./commands/check.ts")).check,
  assault: async () => (await import("./commands/assault.ts")).runAssault,
  verify: async () => (await import("./commands/offline.ts")).verify,
  costs: async () => (await import("./commands/offline.ts")).costs,
  spending: async () => (await import("./commands/money-offline.ts")).spending,
  budgets: async () => (await import("./commands/money-offline.ts")).budgets,
  models: async () => (await import("./commands/money-offline.ts")).models,
  prices: async () => (await import("./commands/money-offline.ts")).prices,
  doctor: async () => (await import("./commands/doctor.ts")).doctor,
  credential: async () => (await import("./commands/credential.ts")).credential,
  bind: async () => (await import("./commands/bind.ts")).bind,
  vault: async () => (await import("./commands/vault.ts")).vault,
  rehearsal: async () => (await import("./commands/rehearsal.ts")).rehearsal,
  plan: async () => (await import("./commands/plan.ts")).plan,
};

async function main(): Promise<number> {
  const text = { type: "string" } as const;
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      fleet: text,
      state: text,
      listen: text,
      input: text,
      output: text,
      port: text,
      scenario: text,
      "passphrase-file": text,
      "new-passphrase-file": text,
      "vault-token-file": text,
      transit: text,
      "transit-key": text,
      "transit-mount": text,
      "transit-namespace": text,
      "transit-ca": text,
      kms: text,
      "kms-endpoint": text,
      "expires-ms": text,
      "overlap-ms": text,
      backend: text,
      socket: text,
      "runtime-cmd": text,
      attached: { type: "boolean" },
    },
  });
  const [name = "", ...words] = positionals;
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (!command) throw new Error(`the mesh has no command \`${name}\`: it is started by \`cordon\``);
  return (await command())(values, words);
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(explain(error));
  process.exitCode = 1;
}
