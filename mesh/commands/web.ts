import type { Clock } from "../../lib/clock.ts";
import type { Fleet } from "../config/fleet.ts";
import type { Injector } from "../egress/credentials.ts";
import { Gateway } from "../egress/web/gateway.ts";

/** The gateway to the web; none when nobody in the fleet may reach anything. */
export const webGatewayOf = (fleet: Fleet, injector: Injector, clock: Clock): { readonly web?: Gateway } =>
  fleet.agents.some(({ may }) => (may.reach ?? []).length > 0)
    ? { web: new Gateway({ clock, injector, bindings: fleet.bindings ?? [], ca: fleet.web?.ca ?? null }) }
    : {};
