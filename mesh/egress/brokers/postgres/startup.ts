import { err, ok, type Result } from "../../../../lib/result.ts";
import { limits } from "../../../../protocol/limits.ts";
import { refusal, type Refusal } from "../../../../protocol/refusal.ts";
import { ProtocolFault, textAt, type Frame, type FrameReader } from "./frames.ts";

/** What a client says first: who it wants to be where, or which statement of another connection it wants to end. */
export type Opening =
  | { readonly kind: "session"; readonly database: string; readonly user: string; readonly settings: Settings }
  | { readonly kind: "cancel"; readonly key: string };
export type Settings = ReadonlyMap<string, string>;

// PostgreSQL 18, section 54.7.
const PROTOCOL_3_0 = 0x0003_0000;
const CANCEL = 80_877_102;
const SSL = 80_877_103;
const GSSENC = 80_877_104;

/** Settings that a client may bring along. What it could widen its rights with, or be misread with, is not here. */
const TAKEN = new Set([
  ...["application_name", "client_encoding", "datestyle", "timezone", "extra_float_digits", "intervalstyle"],
  ...["search_path", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"],
]);
/** Every other encoding could hide a quote or a semicolon within a character. */
export const isUtf8 = (name: string): boolean => /^'?(?:utf-?8|unicode)'?$/i.test(name);

/** Reads on until it is known what the client wants. `decline` answers a request for encryption. */
export async function readOpening(reader: FrameReader, decline: () => void): Promise<Result<Opening, Refusal> | null> {
  const asked = new Set<number>();
  for (;;) {
    const first = await reader.next(limits.postgres.startupBytesMax, false);
    if (!first) return null;
    if (first.body.length < 4) throw new ProtocolFault("a first message without a version");
    const code = first.body.readInt32BE(0);
    if (code === SSL || code === GSSENC) {
      // The way to the mesh is a Unix socket. What comes before the answer would be taken for what comes after it.
      if (asked.has(code) || first.body.length !== 4 || reader.ahead)
        throw new ProtocolFault("a request for encryption that is not one");
      asked.add(code);
      decline();
      continue;
    }
    if (code === CANCEL) {
      if (first.body.length !== 12) throw new ProtocolFault("a request to cancel that is not one");
      return ok({ kind: "cancel", key: first.body.toString("hex", 4) });
    }
    if (code === PROTOCOL_3_0) return readSettings(first);
    const version = `${code >>> 16}.${code & 0xffff}`;
    return err(refusal("unsupported", `version ${version} of the protocol is not spoken here`, "speak version 3.0"));
  }
}

function readSettings({ body }: Frame): Result<Opening, Refusal> {
  const settings = new Map<string, string>();
  let at = 4;
  for (;;) {
    const name = textAt(body, at);
    if (name.text === "") {
      if (name.next !== body.length) throw new ProtocolFault("text behind the end of the first message");
      break;
    }
    const value = textAt(body, name.next);
    at = value.next;
    const key = name.text.toLowerCase();
    if (settings.has(key)) return err(refusal("malformed", `\`${shown(key)}\` is there twice`, "send it once"));
    if (settings.size >= limits.postgres.startupSettingsMax)
      return err(refusal("too_large", "too many settings", `send at most ${limits.postgres.startupSettingsMax}`));
    settings.set(key, value.text);
  }
  const user = settings.get("user") ?? "";
  const database = settings.get("database") ?? user;
  settings.delete("user");
  settings.delete("database");
  for (const [name, value] of settings) {
    if (!TAKEN.has(name))
      return err(
        refusal("denied", `a client may not set \`${shown(name)}\``, `set no more than ${[...TAKEN].join(", ")}`),
      );
    if (name === "client_encoding" && !isUtf8(value))
      return err(refusal("unsupported", `the encoding \`${shown(value)}\` is not taken`, "use UTF8"));
  }
  return ok({ kind: "session", database, user, settings });
}

const shown = (text: string): string => text.slice(0, 64);
