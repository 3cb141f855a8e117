import { once } from "node:events";
import type { Duplex } from "node:stream";
import { limits } from "../../../../protocol/limits.ts";
import { TokenBucket } from "../../../http/bucket.ts";
import type { Clock } from "../../../../lib/clock.ts";
import { Scrubber, type Automaton } from "../../scrubber.ts";
import { Batch } from "./batch.ts";
import { errorFrame, frame, type FrameReader, ProtocolFault, type Frame } from "./frames.ts";
import { pinned, settingOf, type Session } from "./login.ts";
import type { DatabaseSetting } from "./setting.ts";
import type { Closing, DatabaseWarden } from "./warden.ts";

/** Parse, Bind, Describe, Execute, Close, Flush, Sync, Query. FunctionCall is not here: it calls by number, past all reading. */
const BATCHED = "PBDECHSQ";
const COPIED = "dcf";
/** Answers in whose middle a text may be of another length than the server has sent. */
const SCRUBBED = "ENSAd";

export interface Relayed {
  readonly setting: DatabaseSetting;
  readonly client: Duplex;
  readonly reader: FrameReader;
  readonly upstream: Session;
  readonly automaton: Automaton;
  readonly warden: DatabaseWarden;
  readonly clock: Clock;
}

/** Carries one session. Between two batches it waits for the server, so that nothing overtakes a change of its state. */
export class SessionRelay {
  readonly #parts: Relayed;
  readonly #batch: Batch;
  readonly #bucket: TokenBucket;
  readonly #pinned: Readonly<Record<string, string>>;
  #sent = 0;
  #received = 0;
  #scrubbed = 0;
  /** Bytes of a COPY that may still go. */
  #slice = 0;
  /** Batches that the server has not answered to their end. */
  #waiting = 0;
  #lastBoundary = "";
  #failed = false;
  #settled = (): void => {};

  constructor(parts: Relayed) {
    this.#parts = parts;
    this.#batch = new Batch(parts.setting.readOnly);
    this.#bucket = new TokenBucket(parts.clock, limits.postgres.statementsBurst, limits.postgres.statementsPerSecond);
    this.#pinned = pinned(parts.setting);
  }

  /** Resolves when it is over; neither side is connected any more then. */
  async run(): Promise<Closing> {
    const { client, upstream } = this.#parts;
    upstream.socket.setTimeout(limits.postgres.idleTimeoutMs, () => upstream.socket.destroy());
    const ends = [this.#forth(), this.#back()].map((way) =>
      way.then(
        (reason) => reason,
        (error: unknown) => {
          if (!(error instanceof ProtocolFault)) return "broken";
          if (!client.destroyed) client.write(errorFrame("FATAL", "08P01", error.message, "connect again"));
          return error.message;
        },
      ),
    );
    const reason = await Promise.race(ends);
    client.end();
    upstream.socket.end(frame("X"));
    upstream.socket.setTimeout(limits.web.dialTimeoutMs);
    await Promise.race([once(client, "close"), this.#parts.clock.sleep(limits.postgres.lingerMs)]).catch(() => {});
    client.destroy();
    upstream.socket.destroy();
    this.#waiting = 0;
    this.#settled();
    await Promise.all(ends);
    return { sent: this.#sent, received: this.#received, scrubbed: this.#scrubbed, reason };
  }

  async #forth(): Promise<string> {
    const { reader } = this.#parts;
    for (;;) {
      const message = await reader.next(limits.postgres.messageBytesMax);
      if (!message || message.type === "X") return "closed";
      // A password, above all: nobody asks for one here.
      if (!BATCHED.includes(message.type) && !COPIED.includes(message.type))
        throw new ProtocolFault(`a message of type \`${printable(message.type)}\` is not taken`);
      if (COPIED.includes(message.type)) await this.#copy(message);
      else await this.#gather(message);
    }
  }

  async #gather(message: Frame): Promise<void> {
    const { warden, setting } = this.#parts;
    while (this.#waiting > 0) await new Promise<void>((resolve) => (this.#settled = resolve));
    if (this.#parts.client.destroyed) throw new ProtocolFault("closed");
    if ("PQE".includes(message.type) && !this.#bucket.take())
      throw new ProtocolFault(`more than ${limits.postgres.statementsPerSecond} statements a second`);
    const refused = this.#batch.add(message);
    if (refused)
      await warden.refused({ verb: "database.statement", database: setting.name }, { code: "denied", ...refused });
    const boundary = message.type === "S" || message.type === "Q";
    if (!boundary && message.type !== "H" && this.#batch.bytes < limits.postgres.batchBytesMax) return;
    const { bytes, classes } = this.#batch.take();
    await this.#allowed(bytes.length, classes);
    if (boundary) {
      this.#waiting++;
      this.#lastBoundary = message.type;
    }
    await this.#send(bytes);
  }

  /** Data of a COPY, which comes in many small messages: each is asked for, and its bytes are booked by the slice. */
  async #copy(message: Frame): Promise<void> {
    if (this.#slice >= message.raw.length) await this.#permitted();
    else {
      const more = Math.max(message.raw.length, limits.postgres.copySliceBytes);
      await this.#allowed(more, {});
      this.#slice += more;
    }
    this.#slice -= message.raw.length;
    await this.#send(message.raw);
  }

  /** What was begun goes on only as long as it may: the agent is halted, or takes up a step that may less. */
  async #permitted(): Promise<void> {
    const permitted = await this.#parts.warden.permit(this.#parts.setting.name);
    if (!permitted.ok) throw new ProtocolFault(permitted.error.reason);
  }

  async #allowed(bytes: number, classes: Readonly<Record<string, number>>): Promise<void> {
    this.#sent += bytes;
    if (this.#sent > limits.postgres.sentBytesMax) throw new ProtocolFault("the session has sent too many bytes");
    const counted = await this.#parts.warden.statements(this.#parts.setting, classes, bytes);
    if (!counted.ok) throw new ProtocolFault(counted.error.reason);
  }

  async #send(bytes: Buffer): Promise<void> {
    await written(this.#parts.upstream.socket, bytes);
  }

  async #back(): Promise<string> {
    const { upstream, client } = this.#parts;
    for (;;) {
      const message = await upstream.reader.next(limits.postgres.answerBytesMax);
      if (!message) return "the server closed the connection";
      this.#received += message.raw.length;
      if (this.#received > limits.postgres.receivedBytesMax)
        throw new ProtocolFault("the session has received too many bytes");
      // What still comes when the session has ended goes to nobody.
      if (client.writableEnded) return "closed";
      await this.#permitted();
      const told = this.#tell(message);
      await written(client, told);
      if (message.type === "Z") this.#next();
    }
  }

  #tell(message: Frame): Buffer {
    switch (message.type) {
      case "S":
        this.#checkSetting(message);
        break;
      case "E":
        this.#failed = true;
        return this.scrub({ ...message, raw: this.#batch.errorOf(message) });
      case "G":
        // The Sync of a batch that begins a COPY is not answered (PostgreSQL 18, section 54.2.3); another one follows.
        if (this.#lastBoundary === "S") this.#next();
        break;
      case "W":
      case "R":
      case "K":
        throw new ProtocolFault("the server's answer is not one to a statement");
      default:
        break;
    }
    return this.scrub(message);
  }

  #next(): void {
    this.#batch.settle(this.#failed);
    [this.#failed, this.#waiting] = [false, 0];
    this.#settled();
  }

  /** What is fixed for the session, whoever has changed it, and by which function. */
  #checkSetting({ body }: Frame): void {
    const [name, value] = settingOf(body);
    const wanted = Object.hasOwn(this.#pinned, name) ? this.#pinned[name] : undefined;
    if (wanted !== undefined && value !== wanted)
      throw new ProtocolFault(`the session has changed \`${name}\`, which is fixed`);
  }

  /** Takes the password out of one message. */
  scrub(message: Frame): Buffer {
    const scrubber = new Scrubber(this.#parts.automaton);
    if (message.type === "D") return this.#scrubRow(message);
    const clean = Buffer.concat([scrubber.push(message.raw.subarray(5)), scrubber.end()]);
    if (scrubber.hits === 0) return message.raw;
    this.#scrubbed += scrubber.hits;
    if (!SCRUBBED.includes(message.type)) throw new ProtocolFault("the server has sent the password");
    return frame(message.type, clean);
  }

  /** DataRow: the number of columns, then each with its length, or -1 for none. */
  #scrubRow({ raw, body }: Frame): Buffer {
    const whole = new Scrubber(this.#parts.automaton);
    whole.push(body);
    whole.end();
    if (whole.hits === 0) return raw;
    this.#scrubbed += whole.hits;
    const parts: Buffer[] = [body.subarray(0, 2)];
    for (let at = 2; at < body.length;) {
      const length = body.readInt32BE(at);
      const scrubber = new Scrubber(this.#parts.automaton);
      const clean = Buffer.concat([scrubber.push(body.subarray(at + 4, at + 4 + Math.max(0, length))), scrubber.end()]);
      const head = Buffer.alloc(4);
      head.writeInt32BE(length < 0 ? -1 : clean.length);
      parts.push(head, clean);
      at += 4 + Math.max(0, length);
    }
    return frame("D", ...parts);
  }
}

/** Messages of one moment travel together. */
async function written(stream: Duplex, bytes: Buffer): Promise<void> {
  if (stream.destroyed) throw new ProtocolFault("closed");
  stream.cork();
  const drained = stream.write(bytes);
  process.nextTick(() => stream.uncork());
  if (drained) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  stream.once("drain", resolve).once("close", resolve);
  await promise;
  stream.off("drain", resolve).off("close", resolve);
}

const printable = (type: string): string => (/^[\x21-\x7e]$/.test(type) ? type : "?");
