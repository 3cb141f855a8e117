import { randomBytes } from "node:crypto";
import type { Clock } from "../../lib/clock.ts";
import type { Fleet } from "../config/fleet.ts";
import type { Injector } from "../egress/credentials.ts";
import { PostgresBroker } from "../egress/brokers/postgres/broker.ts";

/** The broker for databases; none when nobody in the fleet may use one. */
export function postgresOf(fleet: Fleet, injector: Injector, clock: Clock): { readonly postgres?: PostgresBroker } {
  if (!fleet.agents.some(({ may }) => (may.databases ?? []).length > 0)) return {};
  return { postgres: new PostgresBroker({ clock, injector, databases: fleet.databases ?? [], random: randomBytes }) };
}
