import type { Duplex } from "node:stream";
import type { Clock } from "../../../../lib/clock.ts";
import type { Result } from "../../../../lib/result.ts";
import { limits } from "../../../../protocol/limits.ts";
import type { Refusal } from "../../../../protocol/refusal.ts";
import { SessionFault, type ClientReader, type FrameWriter } from "./frames.ts";
import { History } from "./history.ts";
import { checkPush, PushReader, replacing, told, type PushHead } from "./push.ts";
import { cleaned } from "./server-text.ts";
import type { GitService, RepositorySetting } from "./setting.ts";
import type { Upstream } from "./upstream.ts";
import type { Closing, RepositoryWarden } from "./warden.ts";

export interface Relayed {
  readonly setting: RepositorySetting;
  readonly service: GitService;
  readonly client: Duplex;
  readonly reader: ClientReader;
  readonly writer: FrameWriter;
  readonly upstream: Upstream;
  readonly warden: RepositoryWarden;
  readonly clock: Clock;
  readonly stallMs: number;
}

/** Carries one run of git's program at the server. Of a push nothing goes on before its commands were read and allowed. */
export class SessionRelay {
  readonly #parts: Relayed;
  readonly #over = new AbortController();
  #sent = 0;
  #received = 0;
  #errorBytes = 0;
  /** Bytes that may still go, of those that were reserved. */
  #slice = 0;
  #code = -1;
  #moved = false;

  constructor(parts: Relayed) {
    this.#parts = parts;
  }

  /** Resolves when it is over; neither side is connected any more then. */
  async run(): Promise<Closing> {
    const { client, writer, upstream } = this.#parts;
    const ended = Promise.withResolvers<string>();
    const forth = this.#forth().then(
      () => undefined,
      (error: unknown) => ended.resolve(this.#reasonOf(error)),
    );
    const back = this.#back().then(
      (reason) => ended.resolve(reason),
      (error: unknown) => ended.resolve(this.#reasonOf(error)),
    );
    client.once("close", () => ended.resolve("the client has gone"));
    for (const watch of [this.#watchStall(), this.#watchSpan()])
      watch.then(
        (reason) => reason !== undefined && ended.resolve(reason),
        (error: unknown) => ended.resolve(this.#reasonOf(error)),
      );
    const reason = await ended.promise;
    this.#over.abort();
    upstream.close();
    const told = reason === "ended" ? Promise.resolve() : writer.error(`cordon: ${reason}\n`);
    // A client that reads nothing is not waited for.
    const left = told.then(() => (writer.exit(reason === "ended" ? this.#code : 1), closed(client)));
    await Promise.race([left, this.#parts.clock.sleep(limits.git.lingerMs)]).catch(() => undefined);
    client.destroy();
    await Promise.all([forth, back]);
    return { sent: this.#sent, received: this.#received, code: this.#code, reason };
  }

  async #forth(): Promise<void> {
    const { reader, upstream, service } = this.#parts;
    const rest = service === "git-receive-pack" ? await this.#push() : Buffer.alloc(0);
    if (rest) await this.#send(rest);
    for (;;) {
      const piece = await reader.piece();
      if (!piece) break;
      await this.#send(piece);
    }
    upstream.channel.end();
  }

  /** Resolves with what came behind the commands, when it may go on; null: the client has said nothing. */
  async #push(): Promise<Buffer | null> {
    const { reader, setting, warden } = this.#parts;
    const commands = new PushReader();
    let read: { readonly head: PushHead; readonly rest: Buffer } | null = null;
    while (!read) {
      const piece = await reader.piece();
      if (!piece) return null;
      this.#moved = true;
      read = await this.#allowed(commands.push(piece));
    }
    const { head, rest } = read;
    if (!setting.push) throw new SessionFault("nothing is pushed there");
    await this.#allowed(checkPush(head, setting.push, setting.name));
    const updates = setting.push.mayForce ? [] : replacing(head);
    const seen = updates.length === 0 ? rest : await this.#followed(new History(updates), rest);
    await warden.pushed(setting, told(head));
    await this.#send(head.bytes);
    return seen;
  }

  async #followed(history: History, first: Buffer): Promise<Buffer> {
    for (let piece: Buffer | null = first; ; piece = await this.#parts.reader.piece()) {
      if (!piece) throw new SessionFault("the push ended within its pack");
      this.#moved = true;
      const seen = await this.#allowed(await history.push(piece));
      if (seen) return seen;
    }
  }

  /** A refusal is on disk before it ends the session. */
  async #allowed<T>(result: Result<T, Refusal>): Promise<T> {
    if (result.ok) return result.value;
    const { warden, setting } = this.#parts;
    await warden.refused({ verb: "git.push", repository: setting.name }, result.error);
    throw new SessionFault(`${result.error.reason}: ${result.error.remedy}`);
  }

  async #send(bytes: Buffer): Promise<void> {
    const { warden, setting, service, upstream } = this.#parts;
    for (let at = 0; at < bytes.length; at += limits.git.pieceBytes) {
      const piece = bytes.subarray(at, at + limits.git.pieceBytes);
      this.#sent += piece.length;
      if (this.#sent > limits.git.sentBytesMax) throw new SessionFault("the session has sent too many bytes");
      if (this.#slice < piece.length) {
        const { pushSliceBytes, fetchSliceBytes } = limits.git;
        const more = Math.max(piece.length, service === "git-receive-pack" ? pushSliceBytes : fetchSliceBytes);
        const reserved = await warden.more(setting, service, more);
        if (!reserved.ok) throw new SessionFault(reserved.error.reason);
        this.#slice += more;
      }
      this.#slice -= piece.length;
      // Never settles once the server has closed its side: the end of the session frees it.
      await Promise.race([written(upstream.channel, piece), aborted(this.#over.signal)]);
      if (this.#over.signal.aborted) throw new SessionFault("ended");
      this.#moved = true;
    }
  }

  async #back(): Promise<string> {
    const { channel, code, over } = this.#parts.upstream;
    const { writer } = this.#parts;
    const failed = Promise.withResolvers<never>();
    // What came before the end is passed on before the end is told.
    const turns = [
      this.#drain(channel, (piece) => writer.out(piece)),
      this.#drain(channel.stderr, (piece) => this.#tell(piece)),
    ];
    for (const turn of turns) turn.catch(failed.reject);
    // A channel of which not all was read does not tell that it is over.
    const inOrder = await Promise.race([over, failed.promise, aborted(this.#over.signal)]);
    if (!inOrder) return "the connection to the server broke";
    await Promise.all(turns);
    this.#code = code();
    return this.#code < 0 ? "the server closed the connection" : "ended";
  }

  async #drain(stream: NodeJS.ReadableStream, pass: (piece: Buffer) => Promise<void>): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    let turn: Promise<void> = Promise.resolve();
    stream.on("data", (piece: Buffer) => {
      this.#received += piece.length;
      this.#moved = true;
      if (this.#received > limits.git.receivedBytesMax)
        return reject(new SessionFault("the session has received too many bytes"));
      stream.pause();
      turn = turn.then(() => pass(piece)).then(() => void stream.resume());
      turn.catch(reject);
    });
    stream.once("end", () => void turn.then(resolve, reject));
    this.#over.signal.addEventListener("abort", () => resolve(), { once: true });
    await promise;
  }

  /** The server's own words: bounded, and without what could play tricks in a terminal. */
  async #tell(piece: Buffer): Promise<void> {
    const left = limits.git.errorBytesMax - this.#errorBytes;
    this.#errorBytes += piece.length;
    if (left > 0) await this.#parts.writer.error(cleaned(piece.subarray(0, left)));
  }

  #reasonOf(error: unknown): string {
    if (error instanceof SessionFault) return error.message;
    // Streams that break have a code; whatever has none is a fault of ours.
    if ((error as NodeJS.ErrnoException).code === undefined) this.#parts.warden.fault(error);
    return "the connection broke";
  }

  async #watchStall(): Promise<string | undefined> {
    const { clock, stallMs } = this.#parts;
    const { signal } = this.#over;
    for (;;) {
      this.#moved = false;
      await clock.sleep(stallMs, signal).catch(() => undefined);
      if (signal.aborted) return undefined;
      if (!this.#moved) return `nothing has moved for ${Math.round(stallMs / 1_000)} seconds`;
    }
  }

  async #watchSpan(): Promise<string | undefined> {
    const { signal } = this.#over;
    await this.#parts.clock.sleep(limits.git.sessionMsMax, signal).catch(() => undefined);
    return signal.aborted ? undefined : "the session has taken too long";
  }
}

function written(stream: Duplex, bytes: Buffer): Promise<void> {
  if (stream.destroyed || stream.writableEnded) return Promise.reject(new SessionFault("the server takes no more"));
  if (stream.write(bytes)) return Promise.resolve();
  return new Promise((resolve) => stream.once("drain", resolve));
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
const closed = (stream: Duplex): Promise<void> =>
  new Promise((resolve) => (stream.destroyed ? resolve() : void stream.once("close", () => resolve())));
