import { createHash } from "node:crypto";
import { setImmediate as nextTurn } from "node:timers/promises";
import { inflateSync } from "node:zlib";
import { err, ok, type Result } from "../../../../lib/result.ts";
import { limits } from "../../../../protocol/limits.ts";
import { refusal, type Refusal } from "../../../../protocol/refusal.ts";
import { applyDelta } from "./delta.ts";
import type { RefUpdate } from "./push.ts";

/** Kinds of objects in a pack (gitformat-pack(5)). */
const [COMMIT, TAG, OFS_DELTA, REF_DELTA] = [1, 4, 6, 7];

interface Commit {
  readonly content: Buffer;
  readonly depth: number;
}

/**
 * Reads the beginning of a pack, where git puts the commits, until each update is seen to follow from what its ref was. The
 * ids are computed from what the commits hold, so that a pack cannot claim a past which it does not have; that the ref
 * is what the client says it was, the server checks. What is not seen is not allowed: it may be there and be forced.
 */
export class History {
  readonly #updates: readonly RefUpdate[];
  readonly #hash: "sha1" | "sha256";
  /** All bytes that have come, with room for more; nothing of them goes on before it is seen. */
  #room: Buffer = Buffer.alloc(limits.git.pieceBytes);
  #bytes = 0;
  #at = 0;
  #looksLeft: number = limits.git.incompleteLooksMax;
  /** Of what the objects hold once they are unpacked: a pack of a megabyte can hold a thousand times as much. */
  #contentBytes = 0;
  #looked = 0;
  #objectsLeft = -1;
  /** By where they begin, and by their ids. */
  readonly #byPlace = new Map<number, Commit>();
  readonly #byId = new Map<string, Commit>();
  readonly #parents = new Map<string, readonly string[]>();

  constructor(updates: readonly RefUpdate[]) {
    this.#updates = updates;
    this.#hash = updates[0]?.is.length === 64 ? "sha256" : "sha1";
  }

  /** All that was held, once it is seen; null: more is needed. Others have their turn meanwhile. */
  async push(piece: Buffer): Promise<Result<Buffer | null, Refusal>> {
    const whole = this.#with(piece);
    if (this.#objectsLeft < 0) {
      if (whole.length < HEADER_BYTES) return this.#more(whole, 0);
      const [magic, version] = [whole.toString("latin1", 0, 4), whole.readUInt32BE(4)];
      if (magic !== "PACK" || version !== 2)
        return err(refusal("malformed", "what is pushed is not a pack", "use git"));
      [this.#objectsLeft, this.#at] = [whole.readUInt32BE(8), HEADER_BYTES];
    }
    const left = this.#objectsLeft;
    while (this.#objectsLeft > 0) {
      const read = this.#object(whole);
      if (read === "more") return this.#more(whole, left - this.#objectsLeft);
      if (read === "other") break;
      this.#objectsLeft--;
      if (this.#looked % OBJECTS_PER_TURN === 0) await nextTurn();
    }
    for (const each of this.#updates) {
      if (!this.#follows(each)) return err(notSeen(each.ref));
      if (this.#parents.size > OBJECTS_PER_TURN) await nextTurn();
    }
    return ok(whole);
  }

  #with(piece: Buffer): Buffer {
    const bytes = this.#bytes + piece.length;
    if (bytes > this.#room.length) {
      const room = Buffer.alloc(2 * bytes);
      this.#room.copy(room, 0, 0, this.#bytes);
      this.#room = room;
    }
    piece.copy(this.#room, this.#bytes);
    this.#bytes = bytes;
    return this.#room.subarray(0, bytes);
  }

  /** Each look costs: how many are taken in vain is bounded, for a client may send its pack byte by byte. */
  #more(whole: Buffer, read: number): Result<null, Refusal> {
    if (read === 0) this.#looksLeft--;
    if (this.#looksLeft >= 0 && whole.length <= limits.git.historyBytesMax) return ok(null);
    return err(
      refusal("too_large", "the push brings too many commits to look at", "push in smaller steps, or to a new branch"),
    );
  }

  /** Reads the object at `#at`. `other`: the commits are over, or so many that no more are looked at. */
  #object(whole: Buffer): "read" | "more" | "other" {
    if (this.#looked >= limits.git.commitsMax || this.#contentBytes > limits.git.historyBytesMax) return "other";
    const begin = this.#at;
    const head = headerAt(whole, begin);
    if (!head) return "more";
    if (head.kind === TAG || head.kind === COMMIT) {
      const content = contentAt(whole, head);
      if (!content || content === "more") return content ?? "other";
      this.#take(content.end, content.bytes.length);
      return head.kind === TAG ? "read" : this.#keep(begin, { content: content.bytes, depth: 0 });
    }
    if (head.kind !== OFS_DELTA && head.kind !== REF_DELTA) return "other";
    const base = this.#baseAt(whole, head, begin);
    if (!base || base === "more") return base ?? "other";
    const delta = contentAt(whole, { ...head, at: base.end });
    if (!delta || delta === "more") return delta ?? "other";
    const content = applyDelta(base.commit.content, delta.bytes, limits.git.commitBytesMax);
    if (!content || base.commit.depth >= limits.git.deltaDepthMax) return "other";
    this.#take(delta.end, delta.bytes.length + content.length);
    return this.#keep(begin, { content, depth: base.commit.depth + 1 });
  }

  #take(end: number, contentBytes: number): void {
    this.#at = end;
    this.#looked++;
    this.#contentBytes += contentBytes;
  }

  #keep(begin: number, commit: Commit): "read" {
    const id = createHash(this.#hash).update(`commit ${commit.content.length}\0`).update(commit.content).digest("hex");
    this.#byPlace.set(begin, commit);
    this.#byId.set(id, commit);
    this.#parents.set(id, parentsOf(commit.content));
    return "read";
  }

  /** What a delta is made from, when that is a commit of this pack. */
  #baseAt(whole: Buffer, head: Header, begin: number): { commit: Commit; end: number } | "more" | undefined {
    if (head.kind === REF_DELTA) {
      const end = head.at + (this.#hash === "sha256" ? 32 : 20);
      if (whole.length < end) return "more";
      const commit = this.#byId.get(whole.toString("hex", head.at, end));
      return commit && { commit, end };
    }
    let at = head.at;
    let back = (whole[at] ?? 0) & 0x7f;
    for (; (whole[at] ?? 0) >= 0x80 && at - head.at < 6; at++) back = (back + 1) * 128 + ((whole[at + 1] ?? 0) & 0x7f);
    if (at >= whole.length) return "more";
    const commit = this.#byPlace.get(begin - back);
    return commit && { commit, end: at + 1 };
  }

  #follows({ is, was }: RefUpdate): boolean {
    const seen = new Set<string>();
    const todo = [is];
    for (let id = todo.pop(); id !== undefined; id = todo.pop()) {
      if (id === was) return true;
      if (seen.has(id)) continue;
      seen.add(id);
      todo.push(...(this.#parents.get(id) ?? []));
    }
    return false;
  }
}

const HEADER_BYTES = 12;
/** A millisecond each, at the most. */
const OBJECTS_PER_TURN = 16;

const notSeen = (ref: string): Refusal =>
  refusal(
    "denied",
    `\`${ref}\` is not seen to follow from what it was`,
    "push commits that build on it, push to a new branch, or set `force: true` under `push`",
  );

interface Header {
  readonly kind: number;
  /** Of the object, or of the delta. */
  readonly size: number;
  /** Behind the header. */
  readonly at: number;
}

/** Undefined: not all of it is there. */
function headerAt(bytes: Buffer, begin: number): Header | undefined {
  const first = bytes[begin];
  if (first === undefined) return undefined;
  let size = first & 15;
  let at = begin;
  for (let scale = 16; (bytes[at] ?? 0) >= 0x80 && at - begin < 7; scale *= 128)
    size += ((bytes[++at] ?? 0) & 0x7f) * scale;
  return at >= bytes.length ? undefined : { kind: (first >> 4) & 7, size, at: at + 1 };
}

/** Undefined: it is longer than is looked at, or broken. */
function contentAt(
  bytes: Buffer,
  { size, at }: Header,
): { readonly bytes: Buffer; readonly end: number } | "more" | undefined {
  if (size > limits.git.commitBytesMax) return undefined;
  const part = bytes.subarray(at, at + 2 * limits.git.commitBytesMax);
  if (part.length === 0) return "more";
  try {
    const { buffer, engine } = inflateSync(part, { info: true, maxOutputLength: size + 1 }) as unknown as Inflated;
    return buffer.length === size ? { bytes: buffer, end: at + engine.bytesWritten } : undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "Z_BUF_ERROR" && part.length < 2 * limits.git.commitBytesMax
      ? "more"
      : undefined;
  }
}

interface Inflated {
  readonly buffer: Buffer;
  readonly engine: { readonly bytesWritten: number };
}

/** The lines `parent ID` of a commit stand behind its tree, before everything that its author has written. */
function parentsOf(content: Buffer): readonly string[] {
  const text = content.toString("latin1");
  const parents: string[] = [];
  let at = text.indexOf("\n") + 1;
  if (!text.startsWith("tree ") || at === 0) return [];
  for (let end = text.indexOf("\n", at); text.startsWith("parent ", at) && end > 0; end = text.indexOf("\n", at)) {
    parents.push(text.slice(at + 7, end));
    at = end + 1;
  }
  return parents;
}
