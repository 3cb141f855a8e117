import type { Json } from "../../lib/json.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import type { Label } from "../../protocol/label.ts";
import { refusal, type Refusal } from "../../protocol/refusal.ts";
import { sharedDetail } from "../audit/event.ts";
import type { Arrival, Departure, Pass, Permit, Warden } from "../egress/web/warden.ts";
import { isRunScope } from "../ledger/amount.ts";
import type { BudgetRefusal } from "../ledger/ledger.ts";
import { decide, type Matrix } from "../policy/decide.ts";
import { reachOf, rulesAt, type ReachRule, type RequestAction, type TunnelAction } from "../policy/reach.ts";
import { StoreFailure } from "../store/store.ts";
import { ask, decisionOf, recordRefusal } from "./ask.ts";
import { budgetRefusal, endsAgent } from "./budget-refusal.ts";
import { evidenceOf, subjectOf, type Caller, type DoorServices, type Work } from "./services.ts";

/** Decides, reserves and records for one sandbox what the web gateway carries. */
export function webWarden(services: DoorServices, caller: Caller): Warden {
  const grants = services.matrix.get(caller.agent);
  const rules = grants?.reach ?? [];
  const subject = `agent:${caller.agent}`;
  return {
    agent: caller.agent,
    use: grants?.use ?? [],
    async tunnel(to) {
      const action: TunnelAction = { verb: "web.tunnel", host: to.host, port: to.port };
      const asked = await ask(services, caller, action);
      if (!asked.ok) return asked;
      const at = rulesAt(rules, to.host, to.port);
      // Unread only where every rule says so.
      return permitOf(at.find(({ tls }) => tls === "intercept") ?? at[0], asked.value.rule);
    },
    permit(action, known) {
      const { matrix } = services;
      if (services.halted(caller.agent)) return asked(action);
      const isKnown = known instanceof WebPermit && known.isFor(action, matrix);
      // What the matrix says it says for good; what narrows it is asked each time.
      if (isKnown && services.decide?.(caller, action) === undefined) return ok(known);
      const own = decide(matrix, caller.agent, action);
      const decision = own.allow ? (services.decide?.(caller, action) ?? own) : own;
      if (!decision.allow) return asked(action);
      return permitOf(reachOf(rules, action), decision.rule, decision === own ? { action, matrix } : undefined);
    },
    depart: (departure) => new WebPass(services, caller, departure).begin(),
    refused: (about, refused) => recordRefusal(services, caller, about, refused),
    fault(error) {
      if (!(error instanceof StoreFailure))
        services.monitor.emit("mesh.fault", caller.agent, { error: String(error).slice(0, 400) });
    },
  };

  /** What it is then is recorded, and told. */
  async function asked(action: RequestAction): Promise<Result<Permit, Refusal>> {
    const answer = await ask(services, caller, action);
    return answer.ok ? permitOf(reachOf(rules, action), answer.value.rule) : answer;
  }

  function permitOf(rule: Permit["rule"] | undefined, name: string, by?: WebPermit["by"]): Result<Permit, Refusal> {
    if (!rule) return err(refusal("denied", `${subject} has no such rule`, "add one to `reach`"));
    return ok(new WebPermit(rule, name, by));
  }
}

class WebPermit implements Permit {
  readonly rule: ReachRule;
  readonly name: string;
  /** The action that this matrix allows, with nothing narrowing it; absent: it is to be asked again. */
  readonly by: { readonly action: RequestAction; readonly matrix: Matrix } | undefined;

  constructor(rule: ReachRule, name: string, by: WebPermit["by"]) {
    this.rule = rule;
    this.name = name;
    this.by = by;
  }

  isFor(action: RequestAction, matrix: Matrix): boolean {
    return this.by?.action === action && this.by.matrix === matrix;
  }
}

/** One request, or one connection, on its way: its share of the budgets, and its evidence. */
class WebPass implements Pass {
  readonly #services: DoorServices;
  readonly #caller: Caller;
  readonly #departure: Departure;
  /** What it was sent for, also when that is over before it. */
  readonly #work: Work | undefined;
  readonly #id: string;
  /** The matrix that has been found to allow it. */
  #allowedBy: Matrix | undefined;

  constructor(services: DoorServices, caller: Caller, departure: Departure) {
    const { permit } = departure;
    this.#id = services.ids.next("web");
    this.#services = services;
    this.#caller = caller;
    this.#departure = departure;
    this.#work = services.workOf?.(caller);
    this.#allowedBy = permit instanceof WebPermit ? permit.by?.matrix : undefined;
  }

  objection(): Refusal | undefined {
    const { action, to } = this.#departure;
    const { matrix, decide } = this.#services;
    const halted = this.#services.halted(this.#caller.agent);
    if (halted) return halted;
    // What a matrix allows it allows for good: only what narrows it can be another.
    const known = this.#allowedBy === matrix;
    if (known && !decide) return undefined;
    const now = action ?? ({ verb: "web.tunnel", host: to.host, port: to.port } as const);
    const decision = known ? decide?.(this.#caller, now) : decisionOf(this.#services, this.#caller, now);
    if (decision && !decision.allow) return decision.refusal;
    this.#allowedBy = matrix;
    return undefined;
  }

  /** Reserves and records; with a refusal it has not begun. */
  begin(): Promise<Result<Pass, Refusal>> {
    const { bytes, writes } = this.#departure;
    const spent = this.#spend(1, bytes);
    if (!spent.ok) return this.#refused(spent.error).then(err);
    const all = writes.length === 0 ? spent.value : [...spent.value, ...writes];
    return this.#record("web.request", this.#detail(), all).then(() => ok(this));
  }

  /** Literals whose names stand in their order are written as they come (mesh/audit/event.ts). */
  #detail(): { readonly [key: string]: Json } {
    const { action, to, permit, addresses, credential, bytes } = this.#departure;
    const { sandbox } = this.#caller;
    const request = this.#id;
    const rule = permit.name;
    const address = addresses[0] ?? "";
    const { host, port } = to;
    if (!action)
      return { address, allow: true, bytes, credential, host, port, request, rule, sandbox, verb: "web.tunnel" };
    return {
      address,
      allow: true,
      bytes,
      credential,
      host,
      method: action.method,
      path: recorded(action.path),
      port,
      request,
      rule,
      sandbox,
      scheme: action.scheme,
      verb: action.verb,
    };
  }

  async more(bytes: number): Promise<boolean> {
    const spent = this.#spend(0, bytes);
    if (!spent.ok) {
      await this.#refused(spent.error);
      return false;
    }
    await this.#record("web.more", { sandbox: this.#caller.sandbox, request: this.#id, bytes }, spent.value);
    return true;
  }

  injected(credential: string, writes: Departure["writes"]): Promise<void> {
    return this.#record("web.injected", { sandbox: this.#caller.sandbox, request: this.#id, credential }, writes);
  }

  end({ outcome, status, sent, received, scrubbed, reason }: Arrival): Promise<void> {
    const { host } = this.#departure.to;
    const label = labelOf(host);
    const { sandbox } = this.#caller;
    const request = this.#id;
    const why = reason.slice(0, 200);
    // It permits nothing: where a crash forgets it, the request stands without an end.
    const recorded = this.#record(
      "web.settled",
      { label, outcome, reason: why, received, request, sandbox, scrubbed, sent, status },
      [],
      "later",
    );
    this.#services.monitor.emit("web.settled", this.#caller.agent, { host, outcome, status, received, scrubbed });
    if (scrubbed > 0) this.#services.monitor.emit("credential.reflected", this.#caller.agent, { host, scrubbed });
    return recorded;
  }

  /** What is sent is spent at once: there is nothing to give back. */
  #spend(requests: number, bytes: number): ReturnType<DoorServices["ledger"]["spend"]> {
    const { ledger, scopes } = this.#services;
    const own = scopes.of(this.#caller.agent);
    const all = this.#work ? [...own, ...this.#work.scopes] : own;
    return ledger.spend(all, { requests, bytes, destination: this.#departure.to.host });
  }

  async #refused(error: BudgetRefusal): Promise<Refusal> {
    if (this.#work && isRunScope(error.scope)) {
      if (!this.#work.signal.aborted) this.#work.refused(error);
    } else if (endsAgent(error)) this.#services.halt(this.#caller.agent, error);
    const refused = budgetRefusal(error);
    await recordRefusal(this.#services, this.#caller, this.#about(), refused);
    return refused;
  }

  #about(): { readonly [key: string]: Json } {
    const { action, to } = this.#departure;
    if (!action) return { verb: "web.tunnel", host: to.host, port: to.port };
    return { ...action, path: recorded(action.path) };
  }

  #record(
    kind: string,
    detail: { readonly [key: string]: Json },
    writes: Departure["writes"],
    when?: "later",
  ): Promise<void> {
    const all = this.#work ? { ...detail, ...evidenceOf(this.#work) } : detail;
    return this.#services.audit.record({ kind, subject: subjectOf(this.#caller), detail: all }, writes, when);
  }
}

const recorded = (path: string): string => path.slice(0, PATH_CHARS_RECORDED);

/** What came back is no better than where it came from. */
function labelOf(host: string): Label {
  let label = labels.get(host);
  if (!label) {
    label = sharedDetail<Label>({ integrity: "untrusted", confidentiality: "internal", sources: [`web:${host}`] });
    if (labels.size >= LABELS_KEPT_MAX) labels.clear();
    labels.set(host, label);
  }
  return label;
}

const labels = new Map<string, Label>();
const LABELS_KEPT_MAX = 1_024;

const PATH_CHARS_RECORDED = 300;
