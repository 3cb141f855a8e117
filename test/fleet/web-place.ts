/** The gateway to the web behind a real door, and servers outside for it to reach: for tests on one machine without DNS. */
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer as createHttp, type RequestListener, type Server } from "node:http";
import { createServer as createHttps } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startRelay } from "../../agent/init/relay.ts";
import { systemClock as clock } from "../../lib/clock.ts";
import { randomId as ids } from "../../lib/id.ts";
import { Secret } from "../../lib/redact.ts";
import { ok } from "../../lib/result.ts";
import { Door } from "../../mesh/door/door.ts";
import type { DoorServices } from "../../mesh/door/services.ts";
import { readBindings, readPermissions } from "../../mesh/config/reach.ts";
import { Injector } from "../../mesh/egress/credentials.ts";
import { makeCertificate } from "../../mesh/egress/web/certificate.ts";
import { BodyMemory } from "../../mesh/http/body-memory.ts";
import { Gateway } from "../../mesh/egress/web/gateway.ts";
import type { Resolver } from "../../mesh/egress/web/resolver.ts";
import type { AuditEvent } from "../../mesh/audit/audit.ts";
import type { Matrix } from "../../mesh/policy/decide.ts";
import type { Vault } from "../../mesh/vault/vault.ts";
import type { Ledger } from "../../mesh/ledger/ledger.ts";

const DAY_MS = 86_400_000;

/** A certificate authority outside, which sandboxes do not trust and the mesh does. */
export class OutsideAuthority {
  readonly #keys = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  readonly pem = this.#make("Outside test authority", this.#keys.publicKey, true);

  issue(host: string): { readonly key: string; readonly cert: string } {
    const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
    return {
      key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
      cert: this.#make(host, publicKey, false),
    };
  }

  #make(name: string, publicKey: KeyObject, ca: boolean): string {
    const issuer = { name: "Outside test authority", privateKey: this.#keys.privateKey };
    const nowMs = clock.nowMs();
    return makeCertificate({ name, publicKey, issuer, ca, fromMs: nowMs - DAY_MS, untilMs: nowMs + DAY_MS });
  }
}

export interface Outside {
  readonly port: number;
  readonly server: Server;
  close(): Promise<void>;
}

/** A server on loopback that answers for `host` over TLS, or over plain HTTP without an authority. */
export async function startOutside(
  handler: RequestListener,
  host = "",
  authority?: OutsideAuthority,
): Promise<Outside> {
  const server = authority ? createHttps(authority.issue(host), handler) : createHttp(handler);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    server,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

export interface WebPlace {
  /** The port of the relay, as the sandbox's own loopback has one. */
  readonly proxyPort: number;
  readonly socketPath: string;
  readonly gateway: Gateway;
  readonly records: AuditEvent[];
  readonly events: { readonly type: string; readonly detail: unknown }[];
  /** The authority that a client inside is to trust. */
  authority(): Promise<string>;
  /** From now on the agent may reach this and nothing else. */
  narrow(reach: WebSetting["reach"]): void;
  close(): Promise<void>;
}

export interface WebSetting {
  /** As in the fleet file. */
  readonly reach: NonNullable<Parameters<typeof readPermissions>[1]>["reach"];
  readonly bindings?: Parameters<typeof readBindings>[0];
  readonly secrets?: Readonly<Record<string, string>>;
  readonly ca?: string;
  readonly resolver?: Resolver;
  /** Bytes that may leave. */
  readonly bytes?: number;
  /** What the door's services are, where a test wants them otherwise. */
  readonly services?: Pick<
    Partial<DoorServices>,
    "clock" | "decide" | "workOf" | "halted" | "http1" | "postgres" | "audit"
  >;
}

/** One agent, `a`, with a real door; what the mesh would keep on disk is kept in memory. */
export async function startWeb(setting: WebSetting): Promise<WebPlace> {
  const folder = mkdtempSync(join(tmpdir(), "cordon-web-"));
  const socketPath = join(folder, "door.sock");
  const fail = (_at: unknown, message: string, fix: string): never => {
    throw new Error(`${message}: ${fix}`);
  };
  const bindings = readBindings(setting.bindings, fail);
  const use = Object.keys(setting.secrets ?? {});
  const may = readPermissions([], { reach: setting.reach, use }, bindings, fail);
  const records: AuditEvent[] = [];
  const events: WebPlace["events"] = [];
  const secretOf = (name: string): Secret | undefined => {
    const value = setting.secrets?.[name];
    return value === undefined ? undefined : new Secret(Buffer.from(value));
  };
  const gateway = new Gateway({
    clock,
    bindings,
    ca: setting.ca ?? null,
    ...(setting.resolver && { resolver: setting.resolver }),
    // The real injector over a vault of this test's secrets.
    injector: new Injector({
      reveal: (name: string) => {
        const secret = secretOf(name);
        return secret && { secret, version: 1, writes: [] };
      },
      count: (name: string) => (secretOf(name) ? [] : undefined),
      look: secretOf,
      generation: (name: string) => encodeURIComponent(String(setting.secrets?.[name])),
      retiring: () => [],
    } as unknown as Vault),
  });
  const record = (event: AuditEvent): Promise<void> => {
    records.push(event);
    return Promise.resolve();
  };
  const matrixOf = (more: typeof may): Matrix =>
    new Map([["a", { message: [], blackboard: { read: [], write: [] }, tools: [], models: [], ...more }]]);
  const services = {
    ...{ clock, ids, gateway, web: gateway, bodies: new BodyMemory() },
    matrix: matrixOf(may),
    audit: { record },
    denials: () => ({
      record: (detail: AuditEvent["detail"]) =>
        record({ kind: "decision", subject: "agent:a", detail: { allow: false, ...detail } }),
    }),
    monitor: {
      emit: (type: string, _agent: string, detail: unknown) => void events.push({ type, detail }),
      emitSparsely: () => {},
    },
    scopes: { of: () => ["agent:a"] },
    ledger: budgetOf(setting.bytes ?? Infinity),
    halted: () => undefined,
    halt: () => {},
    ...setting.services,
  } as unknown as DoorServices & { matrix: Matrix };
  const door = new Door(services, { agent: "a", sandbox: "sbx-a" });
  await door.listen(socketPath);
  const relay = await startRelay({
    host: "127.0.0.1",
    port: 0,
    doorSocket: socketPath,
    connectionsMax: 256,
    idleMs: 60_000,
    log: () => {},
  });
  return {
    ...{ proxyPort: relay.port, socketPath, gateway, records, events },
    narrow: (reach) => (services.matrix = matrixOf(readPermissions([], { reach, use }, bindings, fail))),
    authority: async () => (await fetch(`http://127.0.0.1:${relay.port}/v1/web/authority.pem`)).text(),
    close: async () => {
      await relay.close();
      await door.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function budgetOf(bytesMax: number): Pick<Ledger, "spend"> {
  let left = bytesMax;
  return {
    spend: (_scopes, { bytes: wanted }) => {
      if (wanted > left)
        return {
          ok: false,
          error: {
            scope: "agent:a",
            window: "day",
            unit: "bytes",
            cap: bytesMax,
            settled: bytesMax - left,
            left,
            wanted,
            resetsAtMs: 0,
          },
        };
      left -= wanted;
      return ok([]);
    },
  };
}
