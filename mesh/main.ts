import { parseArgs } from "node:util";
import { loadFleet } from "./config/load.ts";
import { runAssault } from "./commands/assault.ts";
import { credential } from "./commands/credential.ts";
import { doctor } from "./commands/doctor.ts";
import { costs, verify } from "./commands/offline.ts";
import { budgets, models, prices, spending } from "./commands/money-offline.ts";
import { plan } from "./commands/plan.ts";
import { rehearsal } from "./commands/rehearsal.ts";
import { serve } from "./commands/serve.ts";
import { vault } from "./commands/vault.ts";
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
  readonly "expires-ms"?: string;
  readonly "overlap-ms"?: string;
  readonly backend?: string;
  readonly "runtime-cmd"?: string;
  /** `serve` ends when its standard input does: whoever started it holds the other end. */
  readonly attached?: boolean;
}

/** Each resolves with the exit code: 0 done, 1 refused or failed. */
const commands: Readonly<Record<string, (options: MeshOptions, words: readonly string[]) => Promise<number> | number>> =
  {
    serve,
    check: ({ fleet }) => {
      const { name, agents } = loadFleet(fleet ?? "cordon.yaml");
      process.stdout.write(`${JSON.stringify({ fleet: name, agents: agents.map((agent) => agent.name) })}\n`);
      return 0;
    },
    assault: runAssault,
    verify,
    costs,
    spending,
    budgets,
    models,
    prices,
    doctor,
    credential,
    vault,
    rehearsal,
    plan,
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
      "expires-ms": text,
      "overlap-ms": text,
      backend: text,
      "runtime-cmd": text,
      attached: { type: "boolean" },
    },
  });
  const [name = "", ...words] = positionals;
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (!command) throw new Error(`the mesh has no command \`${name}\`: it is started by \`cordon\``);
  return command(values, words);
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(explain(error));
  process.exitCode = 1;
}
