import type { Duplex } from "node:stream";
import { limits } from "../../../protocol/limits.ts";
import { originOf } from "../../policy/reach.ts";
import { refusal, type Refusal } from "../../../protocol/refusal.ts";
import { noCredential } from "../failures.ts";
import type { Ending } from "./answer.ts";
import { covers, placeholderOf, type Binding } from "./binding.ts";
import type { Admitted, Lane } from "./exchange.ts";
import type { Field } from "./head.ts";
import { missing } from "./injection.ts";
import { FrameError, FrameReader, closeFrame, isControl, opcodes, writeFrame, type Frame } from "./websocket-frames.ts";
import { FrameScrubber } from "./websocket-scrubber.ts";

interface Ends {
  readonly socket: Duplex;
  readonly upstream: Duplex;
  /** Of the upstream's 101. */
  readonly fields: readonly Field[];
}

const POLICY_VIOLATION = 1008;
const PROTOCOL_ERROR = 1002;

/** What goes on, and whether the credential in it may still be sent. */
interface Ready {
  readonly frame: Frame;
  readonly stands?: (() => boolean) | undefined;
}

/** Carries the frames of a WebSocket (RFC 6455) both ways until one end closes. Resolves when it has ended. */
export function relayWebSocket(lane: Lane, admitted: Admitted, ends: Ends): Promise<Ending> {
  return new WebSocketRelay(lane, admitted, ends).ending;
}

class WebSocketRelay {
  readonly ending: Promise<Ending>;
  readonly #finish: (ending: Ending) => void;
  readonly #lane: Lane;
  readonly #admitted: Admitted;
  readonly #client: Duplex;
  readonly #upstream: Duplex;
  readonly #bindings: readonly Binding[];
  readonly #fromClient = new FrameReader(true);
  readonly #fromUpstream = new FrameReader(false);
  readonly #scrubber: FrameScrubber;
  /** A binding requires the fleet's own credential: nothing else goes on before it. Null: it has, or none does. */
  #awaited: Binding | null;
  #paid = 0;
  #sent = 0;
  #received = 0;
  #ended = false;

  constructor(lane: Lane, admitted: Admitted, { socket, upstream, fields }: Ends) {
    const { promise, resolve } = Promise.withResolvers<Ending>();
    this.ending = promise;
    this.#finish = resolve;
    this.#lane = lane;
    this.#admitted = admitted;
    this.#client = socket;
    this.#upstream = upstream;
    this.#bindings = admitted.bindings.filter(
      (binding) => binding.surface.kind === "websocket" && covers(binding, admitted.head.action),
    );
    this.#awaited = admitted.credited ? null : (this.#bindings.find(({ require }) => require) ?? null);
    this.#scrubber = new FrameScrubber(lane.gateway.keyring.watched(lane.warden.use));
    const head = fields.filter(([name]) => name !== "sec-websocket-extensions").map((field) => field.join(": "));
    socket.write(
      ["HTTP/1.1 101 Switching Protocols", "connection: Upgrade", "upgrade: websocket", ...head, "", ""].join("\r\n"),
    );
    this.#start();
  }

  #start(): void {
    const pump = (from: Duplex, take: (chunk: Buffer) => Promise<void> | void): void => {
      from.on("data", (chunk: Buffer) => {
        from.pause();
        // One piece at a time: nothing overtakes what waits for the disk.
        Promise.resolve()
          .then(() => take(chunk))
          .then(
            () => void (this.#ended || from.resume()),
            (error: unknown) => this.#broken(error),
          );
      });
      from.on("error", () => this.#end("cut", "broken")).once("close", () => this.#end("answered", "closed"));
      from.once("end", () => this.#end("answered", "closed"));
      if ("setTimeout" in from)
        (from.setTimeout as (ms: number, late: () => void) => void)(limits.web.idleTimeoutMs, () =>
          this.#end("cut", "nothing moved any more"),
        );
    };
    pump(this.#client, (chunk) => this.#toUpstream(chunk));
    pump(this.#upstream, (chunk) => this.#toClient(chunk));
    // Who has gone before the server agreed says so only once.
    const gone = [this.#client, this.#upstream].some(({ destroyed, readableEnded }) => destroyed || readableEnded);
    if (gone) this.#end("answered", "closed");
  }

  async #toUpstream(chunk: Buffer): Promise<void> {
    for (const frame of this.#fromClient.push(chunk)) {
      const objection = this.#admitted.pass.objection();
      if (objection) return this.#refuse(objection);
      const ready = await this.#injected(frame);
      if (!ready || this.#ended) return;
      const bytes = writeFrame(ready.frame);
      this.#sent += bytes.length;
      if (this.#sent > this.#paid) {
        const slice = Math.max(this.#sent - this.#paid, limits.web.bodySliceBytes);
        this.#paid += slice;
        if (!(await this.#admitted.pass.more(slice)))
          return this.#refuse(
            refusal("budget_exhausted", "no bytes are left in the budget for this connection", "raise the budget"),
          );
      }
      // It has waited for the disk.
      if (ready.stands?.() === false) return this.#refuse(revoked);
      await write(this.#upstream, bytes);
    }
  }

  /** The frame as it goes on; undefined: it was refused. */
  async #injected(frame: Frame): Promise<Ready | undefined> {
    const text = frame.payload.toString("latin1");
    const named = this.#lane.warden.use.filter((name) => holds(text, placeholderOf(name)));
    const [name, ...more] = named;
    if (name === undefined) return this.#uncredited(frame);
    const fitting = this.#bindings.filter(({ credential }) => credential === name);
    const placeholder = placeholderOf(name);
    const once = text.indexOf(placeholder) === text.lastIndexOf(placeholder);
    const whole = frame.opcode === opcodes.text && frame.fin;
    if (more.length > 0 || fitting.length !== 1 || !once || !whole) {
      const reason = `\`${placeholder}\` is not bound to this message`;
      await this.#refuse(
        refusal("denied", reason, "bind it to `websocket` there, and send it once, in a text message of one frame"),
      );
      return undefined;
    }
    const { agent } = this.#lane.warden;
    const injection = this.#lane.gateway.keyring.take(name, { agent, destination: this.#admitted.head.to.host });
    if (!injection) {
      await this.#refuse(noCredential(name));
      return undefined;
    }
    await this.#admitted.pass.injected(name, injection.writes);
    this.#awaited = null;
    const payload = text.replace(placeholder, () => injection.value);
    return { frame: { ...frame, payload: Buffer.from(payload, "latin1") }, stands: injection.stands };
  }

  async #uncredited(frame: Frame): Promise<Ready | undefined> {
    if (!this.#awaited || isControl(frame)) return { frame };
    await this.#refuse(missing(this.#awaited, originOf(this.#admitted.head.action)));
    return undefined;
  }

  async #toClient(chunk: Buffer): Promise<void> {
    const objection = this.#admitted.pass.objection();
    if (objection) return this.#refuse(objection);
    this.#received += chunk.length;
    for (const frame of this.#fromUpstream.push(chunk)) {
      const ready = this.#scrubber.push(frame);
      if (!ready) {
        this.#client.write(closeFrame(POLICY_VIOLATION, null));
        return this.#end("cut", "a credential was split over messages");
      }
      for (const each of ready) await write(this.#client, writeFrame(each));
    }
  }

  async #refuse(refused: Refusal): Promise<void> {
    const { host, port } = this.#admitted.head.to;
    await this.#lane.warden.refused({ verb: "web.frame", host, port }, refused);
    this.#client.write(closeFrame(POLICY_VIOLATION, null));
    this.#end("cut", refused.reason);
  }

  #broken(error: unknown): void {
    if (!(error instanceof FrameError)) this.#lane.warden.fault(error);
    else if (!this.#client.destroyed) this.#client.write(closeFrame(PROTOCOL_ERROR, null));
    this.#end("cut", error instanceof FrameError ? error.message : "fault of the mesh");
  }

  #end(outcome: Ending["outcome"], reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#client.end();
    this.#upstream.destroy();
    // The rest of what was written may still reach the client, as long as it takes of it; one that has gone takes nothing.
    this.#client.once("finish", () => this.#client.destroy());
    if ("setTimeout" in this.#client)
      (this.#client.setTimeout as (ms: number, late: () => void) => void)(limits.door.headTimeoutMs, () =>
        this.#client.destroy(),
      );
    const { hits: scrubbed } = this.#scrubber;
    this.#finish({ outcome, status: 101, sent: this.#sent, received: this.#received, scrubbed, reason });
  }
}

const revoked = refusal(
  "upstream_rejected",
  "the credential was revoked before it was sent",
  "use another one, or add it anew with `cordon credential add`",
);

/** Not as a part of a longer name. */
function holds(text: string, placeholder: string): boolean {
  const at = text.indexOf(placeholder);
  return at >= 0 && !/[a-z0-9-]/.test(text[at + placeholder.length] ?? "");
}

function write(to: Duplex, bytes: Buffer): Promise<void> {
  if (to.destroyed || to.write(bytes)) return Promise.resolve();
  return new Promise((resolve) => {
    const on = (): void => {
      to.off("drain", on).off("close", on);
      resolve();
    };
    to.once("drain", on).once("close", on);
  });
}
