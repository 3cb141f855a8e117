import type { Json } from "../../lib/json.ts";
import { err, ok } from "../../lib/result.ts";
import type { Databases } from "../../protocol/door.ts";
import type { Label } from "../../protocol/label.ts";
import type { DatabaseSetting } from "../egress/brokers/postgres/setting.ts";
import type { DatabaseWarden } from "../egress/brokers/postgres/warden.ts";
import type { Write } from "../store/store.ts";
import { StoreFailure } from "../store/store.ts";
import { ask, recordRefusal } from "./ask.ts";
import { budgetRefusal, endsAgent } from "./budget-refusal.ts";
import { evidenceOf, type Caller, type DoorServices } from "./services.ts";

/** In the book of the ledger, in the place of a model. */
const BOOKED_AS = "database";

/** What the sandbox is told of the databases that it may use. */
export function databasesOf({ matrix, postgres }: DoorServices, { agent }: Caller): Databases {
  const names = matrix.get(agent)?.databases ?? [];
  const settings = names.flatMap((name) => postgres?.setting(name) ?? []);
  return { databases: settings.map(({ name, role }) => ({ name, role })) };
}

/** Decides, reserves and records for one sandbox what the broker carries. */
export function databaseWarden(services: DoorServices, caller: Caller): DatabaseWarden {
  const record = (
    kind: string,
    { name }: DatabaseSetting,
    detail: { readonly [key: string]: Json },
    writes: readonly Write[] = [],
  ): Promise<void> =>
    services.audit.record(
      { kind, subject: `agent:${caller.agent}`, detail: { sandbox: caller.sandbox, database: name, ...detail } },
      writes,
    );
  /** The work in hand, of which the record is evidence. */
  const forWork = (): { readonly [key: string]: Json } => evidenceOf(services.workOf?.(caller));
  return {
    agent: caller.agent,
    permit: (database) => ask(services, caller, { verb: "database.connect", database: database.slice(0, 64) }),
    async admit({ setting, addresses, writes }, rule) {
      const { host, port, role, credential, readOnly } = setting;
      const place = { host, port, address: addresses[0] ?? "" };
      await record(
        "database.connect",
        setting,
        { allow: true, rule, ...place, role, credential, read_only: readOnly, ...forWork() },
        writes,
      );
      services.monitor.emit("database.connect", caller.agent, { database: setting.name });
    },
    async statements(setting, classes, bytes) {
      // Asked again each time: an agent is halted, or at work on a step, while its session stands.
      const asked = await ask(services, caller, { verb: "database.connect", database: setting.name });
      if (!asked.ok) return asked;
      const requests = Object.values(classes).reduce((sum, count) => sum + count, 0);
      const nothing = { tokens: 0, microUsd: 0 };
      const held = services.ledger.reserve(services.scopes.of(caller.agent), nothing, BOOKED_AS, {
        ...{ requests, bytes },
        destination: setting.host,
      });
      if (!held.ok) {
        if (endsAgent(held.error)) services.halt(caller.agent, held.error);
        const refused = budgetRefusal(held.error);
        await recordRefusal(services, caller, { verb: "database.statement", database: setting.name }, refused);
        return err(refused);
      }
      // What is sent is spent at once: there is nothing to give back.
      const hold = held.value;
      await record("database.statements", setting, { classes, bytes, ...forWork() }, [
        ...hold.writes,
        ...services.ledger.release(hold).writes,
      ]);
      return ok(null);
    },
    cancelled: (setting) => record("database.cancel", setting, { allow: true, ...forWork() }),
    async closed(setting, { sent, received, scrubbed, reason }) {
      // What came back is no better than what others have written there.
      const label = {
        integrity: "untrusted",
        confidentiality: "internal",
        sources: [`database:${setting.name}`],
      } satisfies Label;
      await record("database.closed", setting, { sent, received, scrubbed, reason: reason.slice(0, 200), label });
      services.monitor.emit("database.closed", caller.agent, { database: setting.name, sent, received, scrubbed });
      if (scrubbed > 0) services.monitor.emit("credential.reflected", caller.agent, { host: setting.host, scrubbed });
    },
    refused: (about, refused) => recordRefusal(services, caller, about, refused),
    fault(error) {
      if (!(error instanceof StoreFailure))
        services.monitor.emit("mesh.fault", caller.agent, { error: String(error).slice(0, 400) });
    },
  };
}
