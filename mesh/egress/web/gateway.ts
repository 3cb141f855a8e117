import type { SecureContext } from "node:tls";
import type { Clock } from "../../../lib/clock.ts";
import type { Binding } from "./binding.ts";
import { trustOf } from "./dialer.ts";
import { Keyring, type Injects } from "./keyring.ts";
import { Pinning, systemResolver, type Resolver } from "./resolver.ts";
import { WebSession } from "./session.ts";
import type { Warden } from "./warden.ts";

export interface GatewayParts {
  readonly clock: Clock;
  readonly injector: Injects;
  readonly bindings: readonly Binding[];
  /** Certificates in PEM that are trusted upstream besides the well-known ones. */
  readonly ca: string | null;
  readonly resolver?: Resolver;
}

/** What all sandboxes' ways to the web have in common. Nothing of a sandbox is kept here. */
export class Gateway {
  readonly clock: Clock;
  readonly bindings: readonly Binding[];
  readonly keyring: Keyring;
  readonly pinning: Pinning;
  readonly trust: SecureContext;

  constructor({ clock, injector, bindings, ca, resolver = systemResolver }: GatewayParts) {
    this.clock = clock;
    this.bindings = bindings;
    this.keyring = new Keyring(injector);
    this.pinning = new Pinning(resolver, clock);
    this.trust = trustOf(ca);
  }

  /** The way of one sandbox, as long as its door stands. */
  session(sandbox: string, warden: Warden, plain = true): WebSession {
    return new WebSession(this, sandbox, warden, plain);
  }
}
