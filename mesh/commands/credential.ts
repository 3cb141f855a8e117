import { randomBytes } from "node:crypto";
import { systemClock } from "../../lib/clock.ts";
import { Secret } from "../../lib/redact.ts";
import { limits } from "../../protocol/limits.ts";
import { Name } from "../../protocol/names.ts";
import { createAudit, type OpenAudit } from "../audit/create.ts";
import type { MeshOptions } from "../main.ts";
import { openStore } from "../store/open.ts";
import { Vault } from "../vault/vault.ts";
import { CommandError } from "./failure.ts";
import { openKey } from "./state-key.ts";
import { existingState, stateFolder } from "./state.ts";

const OPERATOR = "principal:operator";

/** `credential add|list|remove [NAME]`: on the state of a mesh that is not running. The value comes from standard input. */
export async function credential({ state }: MeshOptions, [verb, name = ""]: readonly string[]): Promise<number> {
  if (verb !== "list" && !Name.safeParse(name).success)
    throw new CommandError(`\`${name.slice(0, 64)}\` is not a name: use lower-case letters, digits and hyphens`);
  // Only `add` has a use for a state that is not there yet.
  const folder = stateFolder(verb === "add" ? state : existingState(state));
  const store = await openStore({ path: folder });
  let audit: OpenAudit | undefined;
  try {
    const key = await openKey(store, folder);
    audit = createAudit({ store, clock: systemClock, signer: key.auditSigner, macKey: key.auditMac });
    const vault = new Vault({ store, audit, clock: systemClock, key, random: randomBytes });
    if (verb === "list") process.stdout.write(`${JSON.stringify({ credentials: vault.list() })}\n`);
    else if (verb === "add") await add(vault, name);
    else if (verb === "remove") await remove(vault, name);
    else throw new CommandError(`no \`credential ${String(verb)}\`: use add, list or remove`);
    return 0;
  } finally {
    await audit?.close();
    await store.close();
  }
}

async function add(vault: Vault, name: string): Promise<void> {
  const secret = new Secret(await readValue());
  try {
    const stored = await vault.put(name, secret, OPERATOR);
    if (!stored.ok) throw new CommandError(`${stored.error}: give the whole value, without quotes`);
  } finally {
    secret.erase();
  }
}

async function remove(vault: Vault, name: string): Promise<void> {
  if (!(await vault.remove(name, OPERATOR)))
    throw new CommandError(`no credential \`${name}\`: see \`cordon credential list\``);
}

/** Standard input to its end; one final line end is not part of the value. */
async function readValue(): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of process.stdin as AsyncIterable<Buffer>) {
    bytes += piece.length;
    if (bytes > limits.desk.bodyBytesMax) throw new CommandError("the value is too long: give the credential alone");
    pieces.push(piece);
  }
  const whole = Buffer.concat(pieces);
  for (const piece of pieces) piece.fill(0);
  const end = whole.at(-1) === 0x0a ? (whole.at(-2) === 0x0d ? 2 : 1) : 0;
  return whole.subarray(0, whole.length - end);
}
