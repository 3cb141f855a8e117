/** The broker for databases behind a real door, as a sandbox has it: for tests on one machine. */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openDatabases } from "../../agent/init/database-access.ts";
import { systemClock as clock } from "../../lib/clock.ts";
import { randomId as ids } from "../../lib/id.ts";
import { Secret } from "../../lib/redact.ts";
import { ok } from "../../lib/result.ts";
import type { AuditEvent } from "../../mesh/audit/audit.ts";
import { Door } from "../../mesh/door/door.ts";
import type { DoorServices } from "../../mesh/door/services.ts";
import { PostgresBroker } from "../../mesh/egress/brokers/postgres/broker.ts";
import type { DatabaseSetting } from "../../mesh/egress/brokers/postgres/setting.ts";
import { Injector } from "../../mesh/egress/credentials.ts";
import type { Vault } from "../../mesh/vault/vault.ts";

export interface DatabasePlace {
  /** What the sandbox is given, PGHOST and PGPORT among it. */
  readonly environment: Readonly<Record<string, string>>;
  readonly records: AuditEvent[];
  /** Halts the agent. */
  halt(): void;
  close(): Promise<void>;
}

/** One agent, `a`, that may use all of `databases`; what the mesh would keep on disk is kept in memory. */
export async function startDatabasePlace(
  databases: readonly DatabaseSetting[],
  secrets: Readonly<Record<string, string>>,
): Promise<DatabasePlace> {
  const folder = mkdtempSync(join(tmpdir(), "cordon-databases-"));
  const socketPath = join(folder, "door.sock");
  const records: AuditEvent[] = [];
  let isHalted = false;
  const record = (event: AuditEvent): Promise<void> => {
    records.push(event);
    return Promise.resolve();
  };
  const injector = new Injector({
    reveal: (name: string) => {
      const value = secrets[name];
      return value === undefined ? undefined : { secret: new Secret(Buffer.from(value)), version: 1, writes: [] };
    },
    generation: () => "1",
    retiring: () => [],
  } as unknown as Vault);
  const services = {
    ...{ clock, ids },
    postgres: new PostgresBroker({ clock, injector, databases, random: randomBytes }),
    matrix: new Map([
      [
        "a",
        {
          ...{ message: [], blackboard: { read: [], write: [] }, tools: [], models: [] },
          databases: databases.map(({ name }) => name),
        },
      ],
    ]),
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
  const door = new Door(services, { agent: "a", sandbox: "sbx-a" });
  await door.listen(socketPath);
  const access = await openDatabases(socketPath, () => {}, 0);
  return {
    ...{ environment: access.environment, records },
    halt: () => (isHalted = true),
    close: async () => {
      await access.close();
      await door.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
