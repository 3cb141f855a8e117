import { randomBytes } from "node:crypto";
import { systemClock } from "../../lib/clock.ts";
import { Secret } from "../../lib/redact.ts";
import { limits } from "../../protocol/limits.ts";
import { Name } from "../../protocol/names.ts";
import { createAudit, type OpenAudit } from "../audit/create.ts";
import type { MeshOptions } from "../main.ts";
import { refreshName } from "../egress/sources/oauth.ts";
import { openStore } from "../store/open.ts";
import { Vault, type PutOptions } from "../vault/vault.ts";
import { CommandError } from "./failure.ts";
import { keyOpenerOf, type HeldToken } from "./key-opener.ts";
import { openKey } from "./state-key.ts";
import { existingState, stateFolder } from "./state.ts";

export const OPERATOR = "principal:operator";

/** Each on the state of a mesh that is not running. Values come from standard input. */
const verbs: Readonly<Record<string, (vault: Vault, name: string, options: MeshOptions) => Promise<void> | void>> = {
  list: (vault) => void process.stdout.write(`${JSON.stringify({ credentials: vault.list() })}\n`),
  usage: (vault) => void process.stdout.write(`${JSON.stringify({ uses: vault.uses(), idle: [] })}\n`),
  add: (vault, name, options) => put(vault, name, { expect: "new", ...spans(options) }),
  rotate: (vault, name, options) => put(vault, name, { expect: "known", ...spans(options) }),
  revoke: async (vault, name) => {
    // Without a fleet file nobody knows where it comes from: what could fetch it anew goes with it.
    const erased = await Promise.all([name, refreshName(name)].map((each) => vault.revoke(each, OPERATOR)));
    if (!erased.includes(true)) throw new CommandError(`no credential \`${name}\`: see \`cordon credential list\``);
  },
};

/** `credential add|list|rotate|revoke|usage [NAME]` */
export async function credential(options: MeshOptions, [verb = "", name = ""]: readonly string[]): Promise<number> {
  const act = Object.hasOwn(verbs, verb) ? verbs[verb] : undefined;
  if (!act) throw new CommandError(`no \`credential ${verb}\`: use ${Object.keys(verbs).join(", ")}`);
  if (!["list", "usage"].includes(verb) && !Name.safeParse(name).success)
    throw new CommandError(`\`${name.slice(0, 64)}\` is not a name: use lower-case letters, digits and hyphens`);
  // Only `add` has a use for a state that is not there yet.
  await withVault(options, verb === "add", ({ vault }) => act(vault, name, options));
  return 0;
}

export interface OpenedVault {
  readonly vault: Vault;
  readonly audit: OpenAudit;
  readonly key: Awaited<ReturnType<typeof openKey>>;
  readonly folder: string;
}

/** The vault of a mesh that is not running: the lock of the state says whether one is. */
export async function withVault(
  options: MeshOptions,
  make: boolean,
  act: (opened: OpenedVault) => Promise<void> | void,
  token?: HeldToken,
): Promise<void> {
  const folder = stateFolder(make ? options.state : existingState(options.state));
  const store = await openStore({ path: folder });
  let audit: OpenAudit | undefined;
  try {
    const key = await openKey(store, folder, await keyOpenerOf(folder, options, token));
    audit = createAudit({ store, clock: systemClock, signer: key.auditSigner, macKey: key.auditMac });
    const vault = new Vault({ store, audit, clock: systemClock, key, random: randomBytes });
    await act({ vault, audit, key, folder });
  } finally {
    await audit?.close();
    await store.close();
  }
}

async function put(vault: Vault, name: string, options: PutOptions): Promise<void> {
  const secret = new Secret(await readValue());
  try {
    const stored = await vault.put(name, secret, OPERATOR, options);
    if (!stored.ok) throw new CommandError(`${stored.error.reason}: ${stored.error.fix}`);
  } finally {
    secret.erase();
  }
}

/** Milliseconds, checked by whoever started this process; checked again because they are only text. */
function spans(options: MeshOptions): Pick<PutOptions, "expiresInMs" | "overlapMs"> {
  const whole = (text: string | undefined, max: number): number | undefined => {
    if (text === undefined) return undefined;
    const value = Number(text);
    if (!/^\d{1,12}$/.test(text) || value > max)
      throw new CommandError(`\`${text}\` is no span: use at most ${max} ms`);
    return value;
  };
  return {
    expiresInMs: whole(options["expires-ms"], limits.credential.expiryMsMax),
    overlapMs: whole(options["overlap-ms"], limits.credential.overlapMsMax),
  };
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
