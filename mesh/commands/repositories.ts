import type { Clock } from "../../lib/clock.ts";
import type { Fleet } from "../config/fleet.ts";
import type { Injector } from "../egress/credentials.ts";
import { SshBroker } from "../egress/brokers/ssh/broker.ts";

/** The broker for git over SSH; none when nobody in the fleet may use a repository. */
export function sshOf(fleet: Fleet, injector: Injector, clock: Clock): { readonly ssh?: SshBroker } {
  if (!fleet.agents.some(({ may }) => (may.repositories ?? []).length > 0)) return {};
  return { ssh: new SshBroker({ clock, injector, repositories: fleet.repositories ?? [] }) };
}
