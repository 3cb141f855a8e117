import type { Clock } from "../../lib/clock.ts";
import { parseJson, type Json } from "../../lib/json.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import { limits } from "../../protocol/limits.ts";
import { refusal, type Refusal } from "../../protocol/refusal.ts";
import type { Audit } from "../audit/audit.ts";
import { sanitise } from "../guard/sanitise.ts";
import { TokenBucket } from "../http/bucket.ts";
import type { Monitor } from "../monitor/monitor.ts";
import type { Trigger } from "../schedule/trigger.ts";
import { defaultTenant } from "../store/statements.ts";
import type { Store, Write } from "../store/store.ts";
import { validate } from "../workflow/schema-validate.ts";
import type { Hook } from "./hook.ts";
import { verify, type RawDelivery } from "./signature.ts";

export interface HookParts {
  readonly hooks: readonly Hook[];
  readonly store: Store;
  readonly audit: Audit;
  readonly monitor: Pick<Monitor, "emit" | "emitSparsely">;
  readonly clock: Clock;
  readonly trigger: Trigger;
  /** HMAC-SHA-256 under each value of a credential that holds, with the rows that count its use. */
  readonly code: (
    credential: string,
    pieces: readonly Uint8Array[],
  ) => { readonly codes: readonly Uint8Array[]; readonly writes: readonly Write[] };
}

/** `message` is what the delivery has caused, a message or a run; null when it was taken before. */
export interface Received {
  readonly message: string | null;
}

/** A record a minute of what was refused, besides the first few: a stranger must not fill the audit. */
const REFUSALS_RECORDED_BURST = 5;
const REFUSALS_RECORDED_PER_SECOND = 1 / 60;

/** Takes deliveries of webhooks: nothing of one is believed, parsed or counted before its signature was found right. */
export class HookReceiver {
  readonly #parts: HookParts;
  readonly #hooks: ReadonlyMap<
    string,
    { readonly hook: Hook; readonly bucket: TokenBucket; readonly refused: TokenBucket }
  >;
  /** Deliveries on their way to the disk. */
  readonly #pending = new Map<string, Promise<void>>();

  constructor(parts: HookParts) {
    this.#parts = parts;
    const { clock } = parts;
    this.#hooks = new Map(
      parts.hooks.map((hook) => {
        const bucket = new TokenBucket(clock, hook.deliveriesPerMinute, hook.deliveriesPerMinute / 60);
        const refused = new TokenBucket(clock, REFUSALS_RECORDED_BURST, REFUSALS_RECORDED_PER_SECOND);
        return [hook.name, { hook, bucket, refused }];
      }),
    );
  }

  /** Resolves when the delivery and what it causes are on disk, together. */
  async receive(name: string, delivery: RawDelivery): Promise<Result<Received, Refusal>> {
    const known = this.#hooks.get(name);
    // The same words for no such hook, no signature, a wrong and a late one: a stranger learns nothing.
    if (!known) return err(STRANGER);
    const { hook, bucket } = known;
    let uses: readonly Write[] = [];
    const genuine = verify(hook, delivery, this.#parts.clock.nowMs(), (pieces) => {
      const signed = this.#parts.code(hook.secret, pieces);
      uses = signed.writes;
      return signed.codes;
    });
    if (!genuine.ok) return this.#refuse(name, STRANGER, genuine.error);
    const { id: received, timed } = genuine.value;
    const key = `${name} ${received}`;
    if (this.#parts.store.query.hooks.seen(defaultTenant, name, received)) return ok({ message: null });
    const underWay = this.#pending.get(key);
    if (underWay) {
      await underWay;
      return ok({ message: null });
    }
    if (!bucket.take()) {
      const reason = `hook \`${name}\` takes ${hook.deliveriesPerMinute} deliveries a minute`;
      return this.#refuse(name, refusal("rate_limited", reason, "raise `per_minute`, or send less"), reason);
    }
    const body = bodyOf(hook, delivery.body);
    if (!body.ok) return this.#refuse(name, body.error, body.error.reason);
    const prepared = this.#parts.trigger.prepare({
      effect: hook.effect,
      given: body.value,
      cause: `hook:${name}`,
      // Who signed it is known; what it says is not the word of anybody here.
      label: { integrity: "untrusted", confidentiality: "internal", sources: [`hook:${name}`] },
    });
    if (!prepared.ok) return this.#refuse(name, prepared.error, prepared.error.reason);
    const { id, writes, done } = prepared.value;
    const { effect } = hook;
    const caused = effect.kind === "message" ? { message: id, to: effect.to } : { run: id };
    const nowMs = this.#parts.clock.nowMs();
    const expiresAtMs = timed ? nowMs + limits.hook.deliveryKeptMs : null;
    const recorded = this.#parts.audit.record(
      { kind: "hook.received", subject: "mesh", detail: { hook: name, delivery: received, ...caused } },
      [
        ...uses,
        ...writes,
        ["hooks.forgetDeliveries", nowMs],
        ["hooks.insertDelivery", defaultTenant, name, received, nowMs, expiresAtMs],
      ],
    );
    this.#pending.set(key, recorded);
    await recorded.finally(() => this.#pending.delete(key));
    done();
    this.#parts.monitor.emit("hook.received", effect.kind === "message" ? effect.to : null, { hook: name, ...caused });
    return ok({ message: id });
  }

  async #refuse(name: string, refused: Refusal, why: string): Promise<Result<never, Refusal>> {
    this.#parts.monitor.emitSparsely("hook.refused", null, { hook: name, reason: why.slice(0, 200) });
    if (this.#hooks.get(name)?.refused.take()) {
      const detail = { hook: name, code: refused.code, reason: why.slice(0, 400) };
      await this.#parts.audit.record({ kind: "hook.refused", subject: "mesh", detail });
    }
    return err(refused);
  }
}

const STRANGER = refusal(
  "unauthenticated",
  "no such hook, or not signed for it",
  "sign it with the secret of the hook",
);

/** The text that an agent gets: JSON that was understood, written anew, without what a person would not see. */
function bodyOf(hook: Hook, bytes: Uint8Array): Result<string, Refusal> {
  const parsed = parseJson(bytes, limits.door.jsonDepthMax);
  if (!parsed.ok) return err(refusal("malformed", parsed.error, "send one JSON value in UTF-8"));
  const value: Json = parsed.value;
  const fits = hook.schema ? validate(hook.schema, value) : ok(null);
  if (!fits.ok)
    return err(refusal("unsupported", `the body does not fit the schema: ${fits.error}`, "send what the schema says"));
  const { text } = sanitise(JSON.stringify(value));
  if (Buffer.byteLength(text) > limits.message.bodyBytesMax)
    return err(refusal("too_large", "the body is larger than a message", "send less"));
  return ok(text);
}
