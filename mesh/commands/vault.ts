import { randomBytes } from "node:crypto";
import type { MeshOptions } from "../main.ts";
import { KEY_BYTES } from "../vault/envelope.ts";
import { replaceKeyFile } from "../vault/key-file.ts";
import { newSalt, protectionOf } from "../vault/passphrase.ts";
import { OPERATOR, withVault, type OpenedVault } from "./credential.ts";
import { CommandError } from "./failure.ts";
import { heldToken, type HeldToken } from "./key-opener.ts";
import { isByService, serviceProtection } from "./key-wrapping.ts";
import { readPassphrase } from "./passphrase.ts";
import { rotateMasterKey } from "./state-key.ts";

/** `vault rotate|protect|unprotect`: the master key of a mesh that is not running. */
export async function vault(options: MeshOptions, [verb = ""]: readonly string[]): Promise<number> {
  if (!["rotate", "protect", "unprotect"].includes(verb))
    throw new CommandError(`no \`vault ${verb}\`: use rotate, protect or unprotect`);
  const token = heldToken(options);
  try {
    await withVault(options, false, (opened) => change(verb, options, opened, token), token);
  } finally {
    token.erase();
  }
  return 0;
}

async function change(verb: string, options: MeshOptions, opened: OpenedVault, token: HeldToken): Promise<void> {
  const { folder, key } = opened;
  if (verb === "rotate") return void (await rotateMasterKey(folder, opened.vault, key, OPERATOR));
  const path = options["new-passphrase-file"];
  const byService = verb === "protect" && isByService(options);
  if (verb === "protect" && (path === undefined) === !byService)
    throw new CommandError("say what protects it: `--new-passphrase-file FILE`, `--transit ADDRESS` or `--kms ARN`");
  const wrapped = byService ? await serviceProtection(options, randomBytes(KEY_BYTES), token) : undefined;
  const protection =
    wrapped ?? (path === undefined ? undefined : protectionOf(readPassphrase(path), newSalt(randomBytes)));
  const by = wrapped ? { server: wrapped.by.address, key: wrapped.by.key } : {};
  await opened.audit.record({ kind: `vault.${verb}ed`, subject: OPERATOR, detail: by });
  replaceKeyFile(folder, { master: key.file.master, ...(protection && { protection }) }, randomBytes);
}
