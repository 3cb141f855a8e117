import type { Json } from "../../lib/json.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import { limits } from "../../protocol/limits.ts";
import type { Refusal } from "../../protocol/refusal.ts";
import type { Outcome } from "../egress/answer-relay.ts";
import type { Injection } from "../egress/credentials.ts";
import { noCredential } from "../egress/failures.ts";
import { familyOf } from "../egress/providers.ts";
import { isHeldWhole, type Meter } from "../egress/wire/format.ts";
import type { BudgetRefusal, Hold } from "../ledger/ledger.ts";
import { outputTokensPayable } from "../ledger/payable.ts";
import { worstCase } from "../ledger/price.ts";
import type { Way } from "./model-routing.ts";
import type { Write } from "../store/store.ts";
import { evidenceOf, subjectOf, type Caller, type DoorServices, type Work } from "./services.ts";
import { kindOf, settle } from "./settlement.ts";

/** What is recorded of a call that has several ways: the chain, which attempt it is, and who was passed over for what reason. */
export type About = { readonly [key: string]: string | number | readonly string[] };

/** An attempt that may go out as soon as it is on disk: everything is decided and held. */
export interface Admitted {
  readonly way: Way;
  readonly about: About;
  readonly hold: Hold;
  /** What the call was made for, if for a run. */
  readonly work: Work | undefined;
  readonly injection: Injection | null;
  readonly body: Buffer;
  readonly outputTokens: number;
  /** The hold and its record are. */
  readonly onDisk: Promise<void>;
}

/** Why an attempt cannot be made: there is no credential, or no money. */
export type NotAdmitted =
  | { readonly kind: "credential"; readonly refusal: Refusal }
  | { readonly kind: "budget"; readonly cause: BudgetRefusal; readonly work: Work | undefined };

/** Clamps the answer to what the budget can pay, holds the worst case in every scope, and records it: before that is on disk nothing is sent. */
export function reserve(services: DoorServices, caller: Caller, way: Way, about: About): Result<Admitted, NotAdmitted> {
  const { link, provider } = way;
  const { model, price, call, rule } = link;
  const use = { agent: caller.agent, destination: provider.name };
  const injection = provider.credential === null ? null : services.injector.prepare(provider.credential, use);
  if (injection === undefined) {
    const missing = noCredential(provider.credential);
    return err({ kind: "credential", refusal: missing });
  }
  const work = services.workOf?.(caller);
  const own = services.scopes.of(caller.agent);
  const scopes = work && work.scopes.length > 0 ? [...own, ...work.scopes] : own;
  // No answer is longer than what the model can hold.
  const wanted = Math.min(call.outputTokens ?? limits.model.outputTokensDefault, price.contextTokens ?? Infinity);
  const payable = outputTokensPayable(
    price,
    services.ledger.left(scopes, provider.name),
    call.inputTokensMax,
    call.choices,
  );
  // Half a picture is none, nor is half a transcript: it is held whole, or refused.
  const outputTokens = isHeldWhole(call)
    ? (call.outputTokens ?? 0)
    : Math.min(wanted, Math.max(payable, OUTPUT_TOKENS_MIN));
  const body = call.body(model, outputTokens, familyOf(provider));
  const held = services.ledger.reserve(
    scopes,
    worstCase(price, call.inputTokensMax, outputTokens, call.choices),
    call.model,
    {
      bytes: body.length,
      destination: provider.name,
      credential: provider.credential,
      price: price.source,
      run: work?.run,
    },
  );
  if (!held.ok) return err({ kind: "budget", cause: held.error, work });
  const hold = held.value;
  // By name: as it is written.
  const detail = {
    allow: true,
    credential: provider.credential,
    hold: hold.id,
    micro_usd: hold.worst.microUsd,
    model: call.model,
    price: price.source,
    rule,
    sandbox: caller.sandbox,
    tokens: hold.worst.tokens,
    verb: "model.call",
  };
  const onDisk = services.audit.record(
    { kind: "model.reserved", subject: subjectOf(caller), detail: withMore(detail, about, work) },
    writesOf(hold, injection, work?.began(hold.id, "model", call.model)),
  );
  return ok({ way, about, hold, work, injection, body, outputTokens, onDisk });
}

function writesOf(hold: Hold, injection: Injection | null, more: readonly Write[] | undefined): readonly Write[] {
  const counted = injection && injection.writes.length > 0 ? [...hold.writes, ...injection.writes] : hold.writes;
  return more ? [...counted, ...more] : counted;
}

/** What is told of a call that has one way and is made for no run. */
export const NOTHING_MORE: About = {};

/** Most calls have nothing more: a spread costs more than the record. */
const withMore = (detail: { readonly [key: string]: Json }, about: About, work: Work | undefined) =>
  about === NOTHING_MORE && !work ? detail : { ...detail, ...about, ...evidenceOf(work) };

/** An answer shorter than this is of no use. */
export const OUTPUT_TOKENS_MIN = 16;

/** The one end of a hold, recorded. */
export function finish(
  services: DoorServices,
  caller: Caller,
  admitted: Admitted,
  meter: Meter,
  outcome: Outcome | undefined,
): Promise<void> {
  const { way, hold, work, about } = admitted;
  const { call, price } = way.link;
  const settled = settle(services.ledger, { call, hold, price, meter, outcome });
  const ended = kindOf(outcome);
  const recorded = services.audit.record(
    {
      kind: "model.settled",
      subject: subjectOf(caller),
      detail: withMore(settled.detail, about === NOTHING_MORE ? about : withoutSkipped(about), work),
    },
    work ? [...settled.writes, ...work.ended(hold.id, ended, settled)] : settled.writes,
    // A crash that forgets this end charges the hold in full. What a run has done is not done twice.
    work ? undefined : "later",
  );
  const { tokens, microUsd } = settled;
  const told = { model: call.model, outcome: ended, tokens, microUsd };
  if (work) return recorded.then(() => tellEnd(services, caller, told));
  tellEnd(services, caller, told);
  return recorded;
}

function withoutSkipped({ skipped: _told, ...about }: About): About {
  return about;
}

function tellEnd(
  services: DoorServices,
  caller: Caller,
  told: { readonly model: string; readonly outcome: string; readonly tokens: number; readonly microUsd: number },
): void {
  const cause = services.runaway?.spent(caller.agent, told.microUsd);
  if (cause) {
    services.runaway?.forget(caller.agent);
    services.haltRunaway?.(caller.agent, cause);
  }
  services.monitor.emit("model.settled", caller.agent, told);
}
