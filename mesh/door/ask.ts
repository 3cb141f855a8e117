import type { Json } from "../../lib/json.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import type { Soon } from "../../lib/soon.ts";
import { refusal, type Refusal } from "../../protocol/refusal.ts";
import { decide, type Action, type Decision } from "../policy/decide.ts";
import type { Write } from "../store/store.ts";
import { evidenceOf, type Caller, type DoorServices } from "./services.ts";

/** The evidence of an action: its verb and what it is about, never its content. */
const describe = (action: Action): { readonly [key: string]: Json } => ({ ...action });

/** What is permitted at this moment: the matrix, narrowed where the services say so, and never widened. */
export function decisionOf(services: DoorServices, caller: Caller, action: Action): Decision {
  const decision = decide(services.matrix, caller.agent, action);
  return decision.allow ? (services.decide?.(caller, action) ?? decision) : decision;
}

/** Decides an action; a denial is on disk before it is told. */
export const ask = async (
  services: DoorServices,
  caller: Caller,
  action: Action,
): Promise<Result<{ readonly rule: string }, Refusal>> => askNow(services, caller, action);

/** The same; what is allowed waits for nothing. */
export function askNow(
  services: DoorServices,
  caller: Caller,
  action: Action,
): Soon<Result<{ readonly rule: string }, Refusal>> {
  const decision = services.halted(caller.agent) ?? decisionOf(services, caller, action);
  if ("allow" in decision && decision.allow) return ok({ rule: decision.rule });
  return denied(services, caller, action, "allow" in decision ? decision.refusal : decision);
}

async function denied(
  services: DoorServices,
  caller: Caller,
  action: Action,
  refused: Refusal,
): Promise<Result<never, Refusal>> {
  await recordRefusal(services, caller, describe(action), refused);
  return err(refused);
}

/** Records a permitted action together with the rows that carry it out. */
export async function recordAllowed(
  services: DoorServices,
  caller: Caller,
  action: Action,
  rule: string,
  writes: readonly Write[] = [],
  more: { readonly [key: string]: Json } = {},
): Promise<void> {
  const work = services.workOf?.(caller);
  const name = "tool" in action ? action.tool : action.verb;
  await services.audit.record(
    {
      kind: "decision",
      subject: `agent:${caller.agent}`,
      detail: { allow: true, sandbox: caller.sandbox, rule, ...describe(action), ...more, ...evidenceOf(work) },
    },
    work ? [...writes, ...work.began(services.ids.next("cal"), "tool", name)] : writes,
  );
}

export async function recordRefusal(
  services: DoorServices,
  caller: Caller,
  about: { readonly [key: string]: Json },
  refused: Refusal,
): Promise<void> {
  const { code, reason } = refused;
  const evidence = evidenceOf(services.workOf?.(caller));
  await services.denials(caller).record({ code, reason: reason.slice(0, 400), ...about, ...evidence });
  services.monitor.emit("call.denied", caller.agent, { code, reason: reason.slice(0, 400) });
}

/** Refuses what would stay on a disk that is nearly full: its last room is for the mesh and its evidence. Undefined: there is room. */
export async function noRoom(
  services: DoorServices,
  caller: Caller,
  about: { readonly [key: string]: Json },
): Promise<Refusal | undefined> {
  if (services.room?.() !== false) return undefined;
  const full = refusal("busy", "the disk of the mesh is nearly full", "free some space on it, then ask again");
  await recordRefusal(services, caller, about, full);
  services.monitor.emitSparsely("store.nearly_full", null);
  return full;
}
