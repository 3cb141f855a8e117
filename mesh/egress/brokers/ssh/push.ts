import { createHash } from "node:crypto";
import { err, ok, type Result } from "../../../../lib/result.ts";
import { limits } from "../../../../protocol/limits.ts";
import { refusal, type Refusal } from "../../../../protocol/refusal.ts";
import { isPushable, isRefName } from "./ref-name.ts";
import type { PushRule } from "./setting.ts";

/** One command of a push (gitprotocol-pack(5)): object ids in hex, of zeros where there is no object. */
export interface RefUpdate {
  readonly was: string;
  readonly is: string;
  readonly ref: string;
}

/** All commands of a push. */
export interface PushHead {
  readonly updates: readonly RefUpdate[];
  /** As they travelled, with the flush behind them. */
  readonly bytes: Buffer;
}

/**
 * What a client may ask of the server beside its commands. Options of a push and signed pushes are not among it: servers
 * do things for them that no ref shows.
 */
const CAPABILITIES = new Set([
  ...["report-status", "report-status-v2", "side-band-64k", "quiet", "atomic", "ofs-delta", "delete-refs"],
]);
const VALUED = /^(?:agent|session-id)=[\x21-\x7e]{0,256}$|^object-format=sha(?:1|256)$/;
const COMMAND = /^([0-9a-f]{40}|[0-9a-f]{64}) ([0-9a-f]{40}|[0-9a-f]{64}) (.+)$/s;
const SHALLOW = /^shallow (?:[0-9a-f]{40}|[0-9a-f]{64})$/;
const isZero = (id: string): boolean => /^0+$/.test(id);

const refused = (reason: string, fix: string): Result<never, Refusal> => err(refusal("denied", reason, fix));
const tooMany = (): Result<never, Refusal> =>
  err(refusal("too_large", "the push names too many refs", `at most ${limits.git.refsPerPushMax} at once`));
const malformed = (reason: string): Result<never, Refusal> => err(refusal("malformed", reason, "use git"));

/** Reads the commands of a push as they come; nothing of them is known to be all until their flush has come. */
export class PushReader {
  /** Whole lines that were read. */
  readonly #read: Buffer[] = [];
  #readBytes = 0;
  /** What has come since; joined only when it is enough to go on. */
  #held: Buffer[] = [];
  #heldBytes = 0;
  #needed = 4;
  readonly #updates: RefUpdate[] = [];

  /** The commands and what came behind them; null: more is needed. */
  push(piece: Buffer): Result<{ readonly head: PushHead; readonly rest: Buffer } | null, Refusal> {
    this.#held.push(piece);
    this.#heldBytes += piece.length;
    while (this.#heldBytes >= this.#needed) {
      const held = Buffer.concat(this.#held);
      this.#held = [held];
      const length = lengthOf(held);
      if (length === 0) return ok(this.#end(held));
      if (length < 5 || length > limits.git.lineBytesMax)
        return malformed("a line of the push has no length that is one");
      this.#needed = length;
      if (held.length < length) break;
      const read = this.#line(held.subarray(4, length));
      if (!read.ok) return read;
      this.#take(held, length);
      if (this.#readBytes > limits.git.commandBytesMax) return tooMany();
    }
    return ok(null);
  }

  #take(held: Buffer, length: number): void {
    this.#read.push(held.subarray(0, length));
    this.#readBytes += length;
    this.#held = [held.subarray(length)];
    this.#heldBytes = held.length - length;
    this.#needed = 4;
  }

  #end(held: Buffer): { readonly head: PushHead; readonly rest: Buffer } {
    const bytes = Buffer.concat([...this.#read, held.subarray(0, 4)]);
    return { head: { updates: this.#updates, bytes }, rest: held.subarray(4) };
  }

  #line(line: Buffer): Result<null, Refusal> {
    const zero = line.indexOf(0);
    if (zero >= 0 && this.#updates.length > 0) return malformed("capabilities stand behind the first command only");
    const text = decoded(zero < 0 ? line : line.subarray(0, zero))?.replace(/\n$/, "");
    if (text === undefined) return malformed("a line of the push is not UTF-8");
    if (zero < 0 && this.#updates.length === 0 && SHALLOW.test(text)) return ok(null);
    if (text.startsWith("push-cert")) return refused("a signed push is not carried", "push without `--signed`");
    const [, was = "", is = "", ref = ""] = COMMAND.exec(text) ?? [];
    if (was.length !== is.length || !isRefName(ref)) return malformed("a command of the push is not one");
    if (this.#updates.some((each) => each.ref === ref)) return malformed("a ref is named twice");
    if (this.#updates.length >= limits.git.refsPerPushMax) return tooMany();
    this.#updates.push({ was, is, ref });
    return zero < 0 ? ok(null) : capabilities(line.toString("latin1", zero + 1));
  }
}

function capabilities(text: string): Result<null, Refusal> {
  for (const each of text.replace(/\n$/, "").split(" ")) {
    if (each === "" || CAPABILITIES.has(each) || VALUED.test(each)) continue;
    const what = each.slice(0, 40).replaceAll(/[^\x21-\x7e]/g, "?");
    return each === "push-options"
      ? refused("options of a push are not carried", "push without `--push-option`")
      : refused(`the capability \`${what}\` is not carried`, "push without it");
  }
  return ok(null);
}

/** 0: a flush. -1: it is none. */
function lengthOf(bytes: Buffer): number {
  const digits = bytes.toString("latin1", 0, 4);
  return /^[0-9a-f]{4}$/i.test(digits) ? Number.parseInt(digits, 16) : -1;
}

function decoded(bytes: Buffer): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** Whether the rule allows each command as far as the commands tell; whether one is forced, only the pack does. */
export function checkPush({ updates }: PushHead, rule: PushRule, name: string): Result<null, Refusal> {
  const at = `repositories.${name}.push`;
  for (const { ref, is } of updates) {
    if (!isPushable(ref, rule))
      return refused(
        `\`${ref}\` is not a ref that may be pushed`,
        `add it to \`${at}.refs\`, or push one of ${rule.refs.join(", ")}`,
      );
    if (isZero(is) && !rule.mayDelete) return refused(`\`${ref}\` may not be deleted`, `set \`${at}.delete: true\``);
  }
  return ok(null);
}

/** Commands that set a ref which is there to something else: they are to follow from what it was. */
export const replacing = ({ updates }: PushHead): readonly RefUpdate[] =>
  updates.filter(({ was, is }) => !isZero(was) && !isZero(is) && was !== is);

/** For the evidence, whose size is bounded: of a push of many refs those that fit, and a digest over all of it. */
export function told({ updates, bytes }: PushHead): readonly string[] {
  const lines: string[] = [];
  let left: number = limits.git.toldBytesMax;
  for (const { was, is, ref } of updates) {
    const line = `${isZero(was) ? "create" : isZero(is) ? "delete" : "update"} ${ref} ${is.slice(0, 40)}`;
    left -= Buffer.byteLength(JSON.stringify(line)) + 1;
    if (left < 0) break;
    lines.push(line);
  }
  const more = updates.length - lines.length;
  if (more > 0) lines.push(`and ${more} more: sha256 of all ${createHash("sha256").update(bytes).digest("hex")}`);
  return lines;
}
