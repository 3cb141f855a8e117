/** The broker for databases behind a real door, as a sandbox has it: for tests on one machine. */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openDatabases } from "../../agent/init/database-access.ts";
import { systemClock as clock } from "../../lib/clock.ts";
import type { AuditEvent } from "../../mesh/audit/audit.ts";
import { Door } from "../../mesh/door/door.ts";
import { PostgresBroker } from "../../mesh/egress/brokers/postgres/broker.ts";
import type { DatabaseSetting } from "../../mesh/egress/brokers/postgres/setting.ts";
import { doorInMemory, injectorOf } from "./door-services.ts";

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
  const injector = injectorOf(new Map(Object.entries(secrets)));
  const postgres = new PostgresBroker({ clock, injector, databases, random: randomBytes });
  const rights = { databases: databases.map(({ name }) => name) };
  const { services, records, halt } = doorInMemory({ postgres }, rights);
  const door = new Door(services, { agent: "a", sandbox: "sbx-a" });
  await door.listen(socketPath);
  const access = await openDatabases(socketPath, () => {}, 0);
  return {
    ...{ environment: access.environment, records, halt },
    close: async () => {
      await access.close();
      await door.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
