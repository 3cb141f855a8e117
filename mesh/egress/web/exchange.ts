import type { Duplex, Readable } from "node:stream";
import { assert } from "../../../lib/assert.ts";
import { err, ok, type Result } from "../../../lib/result.ts";
import type { Soon } from "../../../lib/soon.ts";
import { limits } from "../../../protocol/limits.ts";
import { refusal, type Refusal } from "../../../protocol/refusal.ts";
import type { Asked } from "../../http/answer-reader.ts";
import { originOf } from "../../policy/reach.ts";
import type { Write } from "../../store/store.ts";
import { noCredential } from "../failures.ts";
import { WebAnswer, type Answered, type Ending } from "./answer.ts";
import type { Binding } from "./binding.ts";
import { BodyGate, bodyRefusal, BodyRefused, hold } from "./body-gate.ts";
import { answerRefusal, type Front } from "./front.ts";
import type { Gateway } from "./gateway.ts";
import { readHead, type Entrance, type Field, type RawHead, type WebHead } from "./head.ts";
import { asItIs, choose, inject, planOf, type Outgoing, type Plan } from "./injection.ts";
import { bytesOf, fieldsOf, writeHead } from "./outgoing-head.ts";
import type { Place, Upstreams } from "./upstreams.ts";
import type { Pass, Permit, Warden } from "./warden.ts";

/** What an exchange works with: the mesh's gateway, and one sandbox's warden and connections. */
export interface Lane {
  readonly gateway: Gateway;
  readonly warden: Warden;
  readonly upstreams: Upstreams;
  /** Of the credentials that the sandbox's agent may use, and how it writes them. */
  readonly bindings: readonly Binding[];
  readonly placeholders: readonly string[];
  /** Whether one more name may be asked for. */
  readonly mayAsk: () => boolean;
}

/** A request that may go out: decided, pinned, reserved and on disk. */
export interface Admitted {
  readonly head: WebHead;
  readonly bindings: readonly Binding[];
  /** Its head or body carries a credential of the fleet. */
  readonly credited: boolean;
  readonly pass: Pass;
}

export type OnUpgrade = (admitted: Admitted, socket: Duplex, fields: readonly Field[]) => Promise<Ending>;

/** The life of one request to the web: read, decide, pin, inject, reserve, record, send, scrub, settle. */
export class WebExchange implements Answered {
  readonly front: Front;
  readonly #lane: Lane;
  readonly #entrance: Entrance;
  readonly #onUpgrade: OnUpgrade | null;
  readonly #over: () => void;
  #isOver = false;
  // In the order in which they are found out.
  #head!: WebHead;
  #permit!: Permit;
  #addresses!: readonly string[];
  #plan!: Plan;
  #outgoing!: Outgoing;
  #credential: string | null = null;
  /** Bytes that go out of its head, and of a body that is here. */
  #bytes = 0;
  /** Whether the credential may still be sent. */
  #stands: (() => boolean) | undefined;
  #pass!: Pass;
  /** Through which a body goes that comes while it is sent on. */
  #gate: BodyGate | null = null;

  /** `over` is called once: when all is told, and recorded. */
  constructor(lane: Lane, entrance: Entrance, front: Front, onUpgrade: OnUpgrade | null, over: () => void) {
    this.#lane = lane;
    this.#entrance = entrance;
    this.front = front;
    this.#onUpgrade = onUpgrade;
    this.#over = over;
  }

  get host(): string {
    return this.#head.to.host;
  }

  begin(): void {
    try {
      const { head: raw } = this.front;
      const head = readHead(raw, this.#entrance);
      if (!head.ok) return this.#refuse(about(raw, this.#entrance), head.error);
      this.#head = head.value;
      this.#after(this.#lane.warden.permit(head.value.action, raw.said?.request?.permit), this.#permitted);
    } catch (error) {
      this.#fault(error);
    }
  }

  /** At once, where nothing is to be waited for. */
  #after<T>(soon: Soon<T>, next: (this: this, value: T) => void): void {
    if (!(soon instanceof Promise)) return next.call(this, soon);
    const go = (value: T): void => {
      try {
        next.call(this, value);
      } catch (error) {
        this.#fault(error);
      }
    };
    soon.then(go, (error: unknown) => this.#fault(error));
  }

  #permitted(permit: Result<Permit, Refusal>): void {
    if (!permit.ok) return this.#tell(permit.error);
    this.#permit = permit.value;
    const { destination, said } = this.#head;
    if (said?.request?.head === this.#head) said.request.permit = permit.value;
    if (destination) this.#after(this.#lane.warden.permit(destination), this.#mayGoThere);
    else this.#pin();
  }

  #mayGoThere(there: Result<Permit, Refusal>): void {
    if (there.ok) this.#pin();
    else this.#tell(there.error);
  }

  #pin(): void {
    const { gateway, mayAsk } = this.#lane;
    this.#after(gateway.pinning.pin(this.#head.to, this.#permit.rule.address, mayAsk), this.#pinned);
  }

  #pinned(pinned: Result<readonly string[], Refusal>): void {
    if (!pinned.ok) return this.#refuse(evidence(this.#head), pinned.error);
    this.#addresses = pinned.value;
    const request = this.#head.said?.request;
    const known = request?.head === this.#head ? request : undefined;
    this.#plan = known?.plan ?? planOf(this.#lane.bindings, this.#head);
    if (known) known.plan = this.#plan;
    const { body, whole } = this.front;
    const { holds } = this.#plan;
    if (body && holds) this.#after(hold(body), this.#held);
    else if (whole && !holds && this.#lane.placeholders.some((each) => whole.includes(each)))
      this.#refuse(evidence(this.#head), bodyRefusal(new BodyRefused("placeholder")));
    else this.#prepare(holds ? whole : null);
  }

  #held(held: Result<Buffer, Refusal>): void {
    if (held.ok) this.#prepare(held.value);
    else this.#refuse(evidence(this.#head), held.error);
  }

  /** `held`: of the body, where a credential may stand in it. */
  #prepare(held: Buffer | null): void {
    const { here, holds, chosen: first } = this.#plan;
    const { body, whole } = this.front;
    const head = this.#head;
    const chosen = held ? choose(here, head, held) : first;
    const ready = chosen.ok ? this.#injected(chosen.value, holds ? held : whole) : chosen;
    if (!ready.ok) return this.#refuse(evidence(head), ready.error);
    const { warden } = this.#lane;
    const { outgoing, writes } = ready.value;
    this.#outgoing = outgoing;
    this.#credential = chosen.ok && chosen.value ? chosen.value.credential : null;
    this.#bytes = bytesOf(head, outgoing);
    const streamed = body && !holds;
    const departed = warden.depart({
      action: head.action,
      to: head.to,
      permit: this.#permit,
      addresses: this.#addresses,
      credential: this.#credential,
      bytes: streamed ? this.#bytes + (head.bytes ?? 0) : this.#bytes,
      writes,
    });
    this.#after(departed, this.#departed);
  }

  #injected(binding: Binding | null, body: Buffer | null): Result<Ready, Refusal> {
    const head = this.#head;
    if (!binding) return ok({ outgoing: asItIs(head, body), writes: NONE });
    const { gateway, warden } = this.#lane;
    const injection = gateway.keyring.take(binding.credential, { agent: warden.agent, destination: this.host });
    if (!injection) return err(noCredential(binding.credential));
    const outgoing = inject(binding, head, body, injection.value, gateway.clock);
    this.#stands = injection.stands;
    return outgoing.ok ? ok({ outgoing: outgoing.value, writes: injection.writes }) : outgoing;
  }

  #departed(pass: Result<Pass, Refusal>): void {
    if (!pass.ok) return this.#tell(pass.error);
    this.#pass = pass.value;
    const { gateway, warden, upstreams } = this.#lane;
    const { body } = this.front;
    // Nothing is looked for in answers to an agent that has no credential.
    const automata = gateway.keyring.watched(warden.use);
    const answer = new WebAnswer(this, automata);
    if (body && !this.#plan.holds) this.#gate = this.#gateOf(body, answer);
    this.front.onClose(() => answer.stop("aborted", "the client has gone"));
    if (answer.over) return;
    try {
      const place = upstreams.to(this.#head.action, this.#addresses);
      answer.known = place;
      this.#send(place, answer, automata.length > 0);
    } catch (error) {
      const reason = `the request cannot be sent on: ${(error as Error).message}`.slice(0, 200);
      answer.stop("failed", reason, refusal("malformed", reason, "send a request that HTTP/1.1 can carry"));
    }
  }

  #gateOf(body: Readable, answer: WebAnswer): BodyGate {
    const gate = new BodyGate(this.#head.bytes ?? 0, this.#lane.placeholders, this.#pass);
    body.once("error", () => answer.stop("aborted", "the client has gone"));
    gate.once("error", (error: Error) => {
      const refused = bodyRefusal(error);
      answer.stop("cut", refused.reason, refused);
    });
    body.pipe(gate);
    return gate;
  }

  #send(place: Place, answer: WebAnswer, watched: boolean): void {
    const head = this.#head;
    const outgoing = this.#outgoing;
    const gate = this.#gate;
    const { method } = head.action;
    if (head.upgrade) {
      const headers = fieldsOf(head, outgoing, watched).flat();
      return void place.upgrading.dispatch({ path: outgoing.target, method, headers, upgrade: "websocket" }, answer);
    }
    const body = gate ? NOTHING : (outgoing.body ?? NOTHING);
    place.pool.send({
      head: writeHead(head, outgoing, watched, gate ? head.bytes : body.length),
      body,
      source: gate ? { stream: gate, bytes: head.bytes } : undefined,
      asked: method === "HEAD" ? HEAD : place.asked,
      firstByteMs: limits.web.firstByteTimeoutMs,
      quietMs: limits.web.idleTimeoutMs,
      handler: answer,
    });
  }

  objection(): Refusal | undefined {
    return this.#pass.objection();
  }

  stands(): boolean {
    return this.#stands?.() !== false;
  }

  upgraded(socket: Duplex, fields: readonly Field[]): Promise<Ending> {
    assert(this.#onUpgrade, "only who asks for WebSocket goes on in it");
    const credited = this.#credential !== null;
    const admitted = { head: this.#head, bindings: this.#lane.bindings, credited, pass: this.#pass };
    return this.#onUpgrade(admitted, socket, fields);
  }

  /** The answer is over, and has told the client all that it will. */
  ended(ending: Ending, refused: Refusal | undefined): void {
    try {
      this.front.onClose(null);
      this.#gate?.destroy();
      ending.sent += (this.#gate?.sent ?? 0) + this.#bytes;
      this.#after(this.#pass.end(ending), () => {
        if (refused) this.#refuse(evidence(this.#head), refused);
        else this.#end();
      });
    } catch (error) {
      this.#fault(error);
    }
  }

  /** A refusal that is not on disk yet. */
  #refuse(what: { readonly [key: string]: string | number }, refused: Refusal): void {
    this.#after(this.#lane.warden.refused(what, refused), () => this.#tell(refused));
  }

  /** One that is. */
  #tell(refused: Refusal): void {
    answerRefusal(this.front, refused);
    this.#end();
  }

  #fault(error: unknown): void {
    this.#lane.warden.fault(error);
    answerRefusal(this.front, refusal("store_failed", "the decision could not be recorded", "look at the mesh's log"));
    this.#end();
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#over();
  }
}

const NOTHING = Buffer.alloc(0);
const NONE: readonly Write[] = [];
const HEAD: Asked = { bodiless: true, headBytesMax: limits.web.answerHeaderBytesMax };

/** What goes out, and the rows of the use of a credential in it. */
interface Ready {
  readonly outgoing: Outgoing;
  readonly writes: readonly Write[];
}

const evidence = ({ action }: WebHead): { readonly [key: string]: string | number } => ({
  ...action,
  path: action.path.slice(0, PATH_CHARS_RECORDED),
});

const PATH_CHARS_RECORDED = 300;

/** Of a request that was not even understood. */
function about({ target, method }: RawHead, entrance: Entrance): { readonly [key: string]: string | number } {
  const place = entrance ? originOf({ scheme: entrance.scheme, ...entrance.to }) : "";
  const path = (target.split("?")[0] ?? "").slice(0, PATH_CHARS_RECORDED);
  return { verb: "web.request", method: method.slice(0, 16), place, path };
}
