import type { Duplex, Readable } from "node:stream";
import { err, ok, type Result } from "../../../lib/result.ts";
import { limits } from "../../../protocol/limits.ts";
import { refusal, type Refusal } from "../../../protocol/refusal.ts";
import { originOf } from "../../policy/reach.ts";
import type { Asked } from "../../http/answer-reader.ts";
import type { TokenBucket } from "../../http/bucket.ts";
import type { Injection } from "../credentials.ts";
import { WebAnswer, type Ending } from "./answer.ts";
import { covers, type Binding } from "./binding.ts";
import { BodyGate, BodyRefused } from "./body-gate.ts";
import { answerRefusal, type Front } from "./front.ts";
import type { Gateway } from "./gateway.ts";
import { readHead, type Entrance, type Field, type WebHead } from "./head.ts";
import { choose, inject, needsBody, targetOf, type Outgoing } from "./injection.ts";
import { bytesOf, fieldsOf, writeHead } from "./outgoing-head.ts";
import type { Upstreams } from "./upstreams.ts";
import type { Pass, Warden } from "./warden.ts";

/** What an exchange works with: the mesh's gateway, and one sandbox's warden and connections. */
export interface Lane {
  readonly gateway: Gateway;
  readonly warden: Warden;
  readonly upstreams: Upstreams;
  /** Of the credentials that the sandbox's agent may use, and how it writes them. */
  readonly bindings: readonly Binding[];
  readonly placeholders: readonly string[];
  /** Names that may still be asked for. */
  readonly names: TokenBucket;
}

/** A request that may go out: decided, pinned, reserved and on disk. */
export interface Admitted {
  readonly head: WebHead;
  readonly addresses: readonly string[];
  readonly bindings: readonly Binding[];
  readonly outgoing: Outgoing;
  /** Its head or body carries a credential of the fleet. */
  readonly credited: boolean;
  /** Null when it was held whole, or there is none. */
  readonly stream: Readable | null;
  readonly pass: Pass;
}

export type OnUpgrade = (admitted: Admitted, socket: Duplex, fields: readonly Field[]) => Promise<Ending>;

/** The life of one request to the web: read, decide, pin, inject, reserve, record, send, scrub, settle. */
export async function exchange(
  lane: Lane,
  entrance: Entrance,
  front: Front,
  onUpgrade: OnUpgrade | null,
): Promise<void> {
  const head = readHead(front.head, entrance);
  if (!head.ok) return refuse(lane, front, about(front, entrance), head.error);
  const admitted = await admit(lane, head.value, front);
  if (!admitted.ok) {
    if (!admitted.error.recorded) return refuse(lane, front, evidence(head.value), admitted.error.refusal);
    return answerRefusal(front, admitted.error.refusal);
  }
  await send(lane, admitted.value, front, onUpgrade);
}

/** A refusal, and whether it is on disk already. */
interface Refused {
  readonly refusal: Refusal;
  readonly recorded: boolean;
}
const recorded = (refused: Refusal): { ok: false; error: Refused } => err({ refusal: refused, recorded: true });
const unrecorded = (refused: Refusal): { ok: false; error: Refused } => err({ refusal: refused, recorded: false });

async function admit(lane: Lane, head: WebHead, front: Front): Promise<Result<Admitted, Refused>> {
  const { gateway, warden } = lane;
  const soon = warden.permit(head.action);
  const permit = soon instanceof Promise ? await soon : soon;
  if (!permit.ok) return recorded(permit.error);
  const there = head.destination && (await warden.permit(head.destination));
  if (there && !there.ok) return recorded(there.error);
  const { rule, name } = permit.value;
  const found = gateway.pinning.pin(head.to, rule.address, () => lane.names.take());
  const pinned = found instanceof Promise ? await found : found;
  if (!pinned.ok) return unrecorded(pinned.error);
  const { bindings } = lane;
  const here = bindings.filter((binding) => covers(binding, head.action));
  const needs = (front.body ?? front.whole) !== null && needsBody(here, head);
  const held: Result<Buffer | null, Refusal> =
    needs && front.body ? await hold(front.body) : ok(needs ? front.whole : null);
  if (!held.ok) return unrecorded(held.error);
  if (!needs && front.whole && lane.placeholders.some((each) => front.whole?.includes(each)))
    return unrecorded(bodyRefusal(new BodyRefused("placeholder")));
  const ready = prepare(lane, here, head, held.value);
  if (!ready.ok) return unrecorded(ready.error);
  const { injection, credential } = ready.value;
  const outgoing = needs ? ready.value.outgoing : { ...ready.value.outgoing, body: front.whole };
  const streamed = needs ? null : front.body;
  const pass = await warden.depart({
    action: head.action,
    to: head.to,
    rule: name,
    addresses: pinned.value,
    credential,
    bytes: bytesOf(outgoing) + (streamed ? (head.bytes ?? 0) : 0),
    writes: injection?.writes ?? [],
  });
  if (!pass.ok) return recorded(pass.error);
  const credited = credential !== null;
  return ok({ head, addresses: pinned.value, bindings, outgoing, credited, stream: streamed, pass: pass.value });
}

function prepare(
  { gateway, warden }: Lane,
  here: readonly Binding[],
  head: WebHead,
  body: Buffer | null,
): Result<
  { readonly outgoing: Outgoing; readonly injection: Injection | null; readonly credential: string | null },
  Refusal
> {
  const chosen = choose(here, head, body);
  if (!chosen.ok) return chosen;
  const binding = chosen.value;
  const plain = { target: targetOf(head.action.path, head.query), fields: head.fields, body };
  if (!binding) return ok({ outgoing: plain, injection: null, credential: null });
  const injection = gateway.keyring.take(binding.credential, { agent: warden.agent, destination: head.to.host });
  if (!injection)
    return err(
      refusal(
        "upstream_rejected",
        `the vault holds no credential \`${binding.credential}\``,
        `add it with \`cordon credential add ${binding.credential}\``,
      ),
    );
  const outgoing = inject(binding, head, body, injection.value, gateway.clock.nowMs());
  return outgoing.ok ? ok({ outgoing: outgoing.value, injection, credential: binding.credential }) : outgoing;
}

async function hold(body: Readable): Promise<Result<Buffer, Refusal>> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > limits.web.bodyHeldBytesMax)
        return err(
          refusal(
            "too_large",
            `a body in which a credential may stand has at most ${limits.web.bodyHeldBytesMax} bytes`,
            "send less, or put the credential in a header",
          ),
        );
      chunks.push(chunk);
    }
  } catch {
    return err(refusal("malformed", "the body ended early", "send the whole body"));
  }
  return ok(Buffer.concat(chunks, bytes));
}

async function send(lane: Lane, admitted: Admitted, front: Front, onUpgrade: OnUpgrade | null): Promise<void> {
  const { head, outgoing, pass, stream } = admitted;
  const { use } = lane.warden;
  // Nothing is looked for in answers to an agent that has no credential.
  const automata = lane.gateway.keyring.watched(use);
  const upgrade = onUpgrade && ((socket: Duplex, fields: readonly Field[]) => onUpgrade(admitted, socket, fields));
  const answer = new WebAnswer(front, { host: head.to.host, automata, objection: () => pass.objection() }, upgrade);
  const gate = stream && new BodyGate(head.bytes ?? 0, lane.placeholders, pass);
  const gone = (): void => answer.stop("aborted", "the client has gone");
  front.onClose(gone);
  if (stream && gate) {
    stream.once("error", gone);
    gate.once("error", (error: Error) => {
      const refused = bodyRefusal(error);
      answer.stop("cut", refused.reason, refused);
    });
    stream.pipe(gate);
  }
  try {
    const place = lane.upstreams.to({ ...head.action, addresses: admitted.addresses });
    const watched = automata.length > 0;
    const { method } = head.action;
    if (head.upgrade) {
      const headers = fieldsOf(head, outgoing, watched).flat();
      place.upgrading.dispatch({ path: outgoing.target, method, headers, upgrade: "websocket" }, answer);
    } else
      place.pool.send({
        head: writeHead(head, outgoing, watched, gate ? head.bytes : (outgoing.body?.length ?? 0)),
        body: gate ? NOTHING : (outgoing.body ?? NOTHING),
        source: gate ? { stream: gate, bytes: head.bytes } : undefined,
        asked: method === "HEAD" ? HEAD : OTHER,
        firstByteMs: limits.web.firstByteTimeoutMs,
        quietMs: limits.web.idleTimeoutMs,
        handler: answer,
      });
  } catch (error) {
    const reason = `the request cannot be sent on: ${(error as Error).message}`.slice(0, 200);
    answer.stop("failed", reason, refusal("malformed", reason, "send a request that HTTP/1.1 can carry"));
  }
  const { refusal: refused, ...ending } = await answer.ending;
  front.onClose(null);
  gate?.destroy();
  await pass.end({ ...ending, sent: ending.sent + (gate?.sent ?? 0) + bytesOf(outgoing) });
  if (refused) await refuse(lane, front, evidence(head), refused);
}

const NOTHING = Buffer.alloc(0);
const OTHER: Asked = { bodiless: false, headBytesMax: limits.web.answerHeaderBytesMax };
const HEAD: Asked = { ...OTHER, bodiless: true };

function bodyRefusal(error: Error): Refusal {
  const why = error instanceof BodyRefused ? error.why : "broken";
  if (error instanceof BodyRefused && error.objection) return error.objection;
  if (why === "placeholder")
    return refusal(
      "denied",
      "the body holds a placeholder where no credential may stand",
      "put it in the place of its binding",
    );
  if (why === "budget")
    return refusal(
      "budget_exhausted",
      "no bytes are left in the budget for this body",
      "raise the budget, or send less",
    );
  return refusal("malformed", "the body ended early", "send the whole body");
}

const evidence = ({ action }: WebHead): { readonly [key: string]: string | number } => ({
  ...action,
  path: action.path.slice(0, PATH_CHARS_RECORDED),
});

export const PATH_CHARS_RECORDED = 300;

/** Of a request that was not even understood. */
function about({ head }: Front, entrance: Entrance): { readonly [key: string]: string | number } {
  const target = head.target.split("?")[0] ?? "";
  const place = entrance ? originOf({ scheme: entrance.scheme, ...entrance.to }) : "";
  return { verb: "web.request", method: head.method.slice(0, 16), place, path: target.slice(0, PATH_CHARS_RECORDED) };
}

async function refuse(
  lane: Lane,
  front: Front,
  what: { readonly [key: string]: string | number },
  refused: Refusal,
): Promise<void> {
  await lane.warden.refused(what, refused);
  answerRefusal(front, refused);
}
