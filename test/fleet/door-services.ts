/** What a door needs to let one agent through a broker: what the mesh would keep on disk is kept in memory. */
import { systemClock as clock } from "../../lib/clock.ts";
import { randomId as ids } from "../../lib/id.ts";
import { Secret } from "../../lib/redact.ts";
import { ok } from "../../lib/result.ts";
import type { AuditEvent } from "../../mesh/audit/audit.ts";
import type { DoorServices } from "../../mesh/door/services.ts";
import { BodyMemory } from "../../mesh/http/body-memory.ts";
import { Injector } from "../../mesh/egress/credentials.ts";
import { bodyOfKey } from "../../mesh/vault/credential-value.ts";
import type { Vault } from "../../mesh/vault/vault.ts";

/** Gives out credentials as a vault would, from memory. */
export function injectorOf(secrets: ReadonlyMap<string, string>): Injector {
  const secretOf = (name: string): Secret | undefined => {
    const value = secrets.get(name);
    if (value === undefined) return undefined;
    const bytes = Buffer.from(value);
    return new Secret(bodyOfKey(bytes) ?? bytes);
  };
  const vault: Pick<Vault, "reveal" | "count" | "look" | "generation" | "retiring"> = {
    reveal: (name) => {
      const secret = secretOf(name);
      return secret && { secret, version: 1, writes: [] };
    },
    count: (name) => (secrets.has(name) ? [] : undefined),
    look: secretOf,
    generation: () => "1",
    retiring: () => [],
  };
  return new Injector(vault as Vault);
}

export interface DoorInMemory {
  readonly services: DoorServices;
  readonly records: AuditEvent[];
  /** Halts the agent. */
  halt(): void;
}

/** One agent, `a`, with `rights` besides none; `brokers` is what stands behind the door. */
export function doorInMemory(brokers: object, rights: object): DoorInMemory {
  const records: AuditEvent[] = [];
  let isHalted = false;
  const record = (event: AuditEvent): Promise<void> => {
    records.push(event);
    return Promise.resolve();
  };
  const services = {
    ...{ clock, ids, bodies: new BodyMemory() },
    ...brokers,
    matrix: new Map([["a", { message: [], blackboard: { read: [], write: [] }, tools: [], models: [], ...rights }]]),
    audit: { record },
    denials: () => ({
      record: (detail: AuditEvent["detail"]) =>
        record({ kind: "decision", subject: "agent:a", detail: { allow: false, ...detail } }),
    }),
    monitor: { emit: () => {}, emitSparsely: () => {} },
    scopes: { of: () => ["agent:a"] },
    ledger: {
      reserve: (_scopes: unknown, worst: unknown) => ok({ id: ids.next("hld"), worst, writes: [] }),
      release: () => ({ writes: [] }),
    },
    halted: () => (isHalted ? { code: "halted", reason: "the agent is halted", remedy: "wait" } : undefined),
    halt: () => {},
  } as unknown as DoorServices;
  return { services, records, halt: () => (isHalted = true) };
}
