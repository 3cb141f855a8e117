import { readFileSync } from "node:fs";
import type { Clock } from "../../lib/clock.ts";
import type { Fleet } from "../config/fleet.ts";
import type { Injector } from "../egress/credentials.ts";
import { Gateway } from "../egress/web/gateway.ts";
import { CommandError } from "./failure.ts";

/** The gateway to the web; none when nobody in the fleet may reach anything. */
export function webGatewayOf(fleet: Fleet, injector: Injector, clock: Clock): { readonly web?: Gateway } {
  if (!fleet.agents.some(({ may }) => (may.reach ?? []).length > 0)) return {};
  const file = fleet.web?.ca ?? null;
  const ca = file === null ? null : readFileSync(file, "utf8");
  try {
    return { web: new Gateway({ clock, injector, bindings: fleet.bindings ?? [], ca }) };
  } catch (cause) {
    throw new CommandError(`\`${file ?? ""}\` (web.ca) holds no certificates in PEM: name a file that does`, { cause });
  }
}
