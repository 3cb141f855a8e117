import { createHash, timingSafeEqual } from "node:crypto";
import { chmodSync, closeSync, fsyncSync, openSync, renameSync, writeSync } from "node:fs";
import { join } from "node:path";
import { deskFiles } from "../../protocol/desk.ts";

const TOKEN_BYTES = 32;
const digest = (text: string): Buffer => createHash("sha256").update(text).digest();

/**
 * The operator's token: made anew at each start of the mesh, readable by the owner of the state folder only.
 * Comparison is of digests, so its time tells nothing of the token.
 */
export class DeskToken {
  readonly #digest: Buffer;

  constructor(stateFolder: string, random: (count: number) => Buffer, file: string = deskFiles.token) {
    const token = random(TOKEN_BYTES).toString("base64url");
    this.#digest = digest(token);
    const path = join(stateFolder, file);
    const draft = `${path}.new`;
    const opened = openSync(draft, "w", 0o600);
    writeSync(opened, token);
    fsyncSync(opened);
    closeSync(opened);
    chmodSync(draft, 0o600);
    renameSync(draft, path);
  }

  /** True for the value of an `Authorization` header that carries the token (RFC 6750). */
  admits(authorization: string | undefined): boolean {
    const match = /^Bearer ([A-Za-z0-9_-]{1,128})$/.exec(authorization ?? "");
    return timingSafeEqual(digest(match?.[1] ?? ""), this.#digest) && match !== null;
  }
}
