import { randomBytes, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Clock } from "../../lib/clock.ts";
import type { Fleet } from "../config/fleet.ts";
import type { Injector } from "../egress/credentials.ts";
import { PostgresBroker } from "../egress/brokers/postgres/broker.ts";
import { CommandError } from "./failure.ts";

/** The broker for databases; none when nobody in the fleet may use one. */
export function postgresOf(fleet: Fleet, injector: Injector, clock: Clock): { readonly postgres?: PostgresBroker } {
  if (!fleet.agents.some(({ may }) => (may.databases ?? []).length > 0)) return {};
  const databases = (fleet.databases ?? []).map((each) => ({ ...each, ca: certificatesOf(each.name, each.ca) }));
  return { postgres: new PostgresBroker({ clock, injector, databases, random: randomBytes }) };
}

function certificatesOf(name: string, file: string | null): string | null {
  if (file === null) return null;
  const pem = readFileSync(file, "utf8");
  try {
    void new X509Certificate(pem);
    return pem;
  } catch (cause) {
    const what = `\`${file}\` (databases.${name}.ca) holds no certificates in PEM`;
    throw new CommandError(`${what}: name a file that does`, { cause });
  }
}
