import type { Duplex } from "node:stream";
import type { Clock } from "../../../../lib/clock.ts";
import { ok, type Result } from "../../../../lib/result.ts";
import { limits } from "../../../../protocol/limits.ts";
import { refusal, type Refusal } from "../../../../protocol/refusal.ts";
import type { Injection, Injector } from "../../credentials.ts";
import { isAddress } from "../../web/address.ts";
import { Pinning, systemResolver } from "../../web/resolver.ts";
import { errorFrame, frame, FrameReader, int32, ProtocolFault } from "./frames.ts";
import { logIn, type Session } from "./login.ts";
import { SessionRelay } from "./session.ts";
import type { DatabaseSetting } from "./setting.ts";
import { readOpening, type Opening } from "./startup.ts";
import { connectUpstream } from "./upstream.ts";
import type { DatabaseWarden } from "./warden.ts";

export interface BrokerParts {
  readonly clock: Clock;
  readonly injector: Pick<Injector, "prepare">;
  readonly random: (bytes: number) => Buffer;
  readonly databases: readonly DatabaseSetting[];
}

/** The databases of the fleet file, and what all sandboxes' ways to them have in common. */
export class PostgresBroker {
  readonly parts: BrokerParts;
  readonly pinning: Pinning;

  constructor(parts: BrokerParts) {
    this.parts = parts;
    this.pinning = new Pinning(systemResolver, parts.clock);
  }

  setting(name: string): DatabaseSetting | undefined {
    return this.parts.databases.find((each) => each.name === name);
  }

  /** The way of one sandbox, as long as its door stands. */
  lane(warden: DatabaseWarden): DatabaseLane {
    return new DatabaseLane(this, warden);
  }
}

interface Cancellable {
  readonly setting: DatabaseSetting;
  readonly addresses: readonly string[];
  /** What the server knows the session by. */
  readonly cancelKey: Buffer;
}

const CANCEL = 80_877_102;

export class DatabaseLane {
  readonly #broker: PostgresBroker;
  readonly #warden: DatabaseWarden;
  readonly #clients = new Set<Duplex>();
  readonly #served = new Set<Promise<unknown>>();
  /** By the keys that clients of this sandbox were given: nobody else's are known here. */
  readonly #sessions = new Map<string, Cancellable>();

  constructor(broker: PostgresBroker, warden: DatabaseWarden) {
    this.#broker = broker;
    this.#warden = warden;
  }

  /** A client that begins to speak the protocol. */
  enter(client: Duplex): void {
    client.on("error", () => client.destroy());
    if (this.#clients.size >= limits.postgres.connectionsMax) {
      const most = `at most ${limits.postgres.connectionsMax} at once from one sandbox`;
      return void client.end(errorFrame("FATAL", "53300", "too many connections", most));
    }
    this.#clients.add(client);
    client.once("close", () => this.#clients.delete(client));
    const served = this.#serve(client)
      .catch((error: unknown) => {
        if (error instanceof ProtocolFault)
          return this.#refuse(
            client,
            "",
            refusal("malformed", error.message, "speak version 3.0 of the protocol"),
            "08P01",
          );
        this.#warden.fault(error);
        client.destroy();
        return undefined;
      })
      .catch(() => void client.destroy())
      .finally(() => this.#served.delete(served));
    this.#served.add(served);
  }

  /** Resolves when the evidence of the last session is on its way. */
  async close(): Promise<void> {
    for (const client of this.#clients) client.destroy();
    await Promise.all(this.#served);
  }

  async #serve(client: Duplex): Promise<void> {
    const stop = new AbortController();
    this.#broker.parts.clock.sleep(limits.postgres.startupTimeoutMs, stop.signal).then(
      () => client.destroy(),
      () => {},
    );
    const reader = new FrameReader(client);
    const opening = await readOpening(reader, () => client.write("N")).finally(() => stop.abort());
    if (!opening) return void client.destroy();
    if (!opening.ok) return this.#refuse(client, "", opening.error, "28000");
    if (opening.value.kind === "cancel") return this.#cancel(client, opening.value.key);
    return this.#session(client, reader, opening.value);
  }

  async #session(client: Duplex, reader: FrameReader, opening: Extract<Opening, { kind: "session" }>): Promise<void> {
    const begun = await this.#begin(opening);
    if (!begun.ok) return this.#refuse(client, opening.database, begun.error, "28000");
    const { setting, session, injection, key, addresses } = begun.value;
    const { warden, clock } = { warden: this.#warden, clock: this.#broker.parts.clock };
    this.#sessions.set(key.toString("hex"), { setting, addresses, cancelKey: session.cancelKey });
    const relay = new SessionRelay({
      ...{ setting, client, reader, upstream: session, automaton: injection.automaton, warden, clock },
    });
    try {
      const greeting = [frame("R", int32(0)), ...session.told.map((each) => relay.scrub(each)), frame("K", key)];
      client.write(Buffer.concat([...greeting, frame("Z", "I")]));
      await warden.closed(setting, await relay.run());
    } finally {
      this.#sessions.delete(key.toString("hex"));
      session.socket.destroy();
    }
  }

  /** Decides, records, connects and logs in: in this order. */
  async #begin(opening: Extract<Opening, { kind: "session" }>): Promise<
    Result<
      {
        readonly setting: DatabaseSetting;
        readonly session: Session;
        readonly injection: Injection;
        readonly key: Buffer;
        readonly addresses: readonly string[];
      },
      Refusal
    >
  > {
    const { random, injector } = this.#broker.parts;
    const permit = await this.#warden.permit(opening.database);
    if (!permit.ok) return permit;
    const setting = this.#broker.setting(opening.database);
    const about = { verb: "database.connect", database: opening.database.slice(0, 64) };
    const no = async (refused: Refusal): Promise<Result<never, Refusal>> => {
      await this.#warden.refused(about, refused);
      return { ok: false, error: refused };
    };
    if (!setting) return no(refusal("not_found", "there is no such database", "name one of `databases`"));
    if (opening.user !== setting.role)
      return no(
        refusal("denied", `\`${opening.user.slice(0, 64)}\` is not the role`, `connect as \`${setting.role}\``),
      );
    const place = { host: setting.host, port: setting.port, literal: isAddress(setting.host) };
    const pinnedAt = await this.#broker.pinning.pin(place, setting.address, () => true);
    if (!pinnedAt.ok)
      return no({ ...pinnedAt.error, remedy: `name the very address: \`databases.${setting.name}.address\`` });
    const destination = `${setting.host}:${setting.port}`;
    const injection = injector.prepare(setting.credential, { agent: this.#warden.agent, destination });
    if (!injection)
      return no(
        refusal(
          "denied",
          `there is no credential \`${setting.credential}\``,
          `add it: cordon credential add ${setting.credential}`,
        ),
      );
    const addresses = pinnedAt.value;
    await this.#warden.admit({ setting, addresses, writes: injection.writes }, permit.value.rule);
    try {
      const login = {
        ...{ setting, settings: opening.settings, nonce: random(18).toString("base64") },
        password: Buffer.from(injection.value, "latin1").toString("utf8"),
      };
      const upstream = await connectUpstream(setting, addresses);
      const session = await this.#loggedIn(upstream, login);
      return ok({ setting, session, injection, key: random(8), addresses });
    } catch (error) {
      const what = error instanceof ProtocolFault ? error.message : `it did not answer (${codeOf(error)})`;
      return no(refusal("upstream_failed", `no connection to \`${setting.name}\`: ${what}`, "ask the operator"));
    }
  }

  async #loggedIn(
    upstream: Awaited<ReturnType<typeof connectUpstream>>,
    login: Parameters<typeof logIn>[1],
  ): Promise<Session> {
    upstream.socket.setTimeout(limits.postgres.startupTimeoutMs, () => upstream.socket.destroy());
    try {
      return await logIn(upstream, login);
    } catch (error) {
      upstream.socket.destroy();
      throw error;
    }
  }

  /** PostgreSQL 18, section 54.2.8: a connection of its own, which is never answered. */
  async #cancel(client: Duplex, key: string): Promise<void> {
    client.end();
    const session = this.#sessions.get(key);
    if (!session || session.cancelKey.length === 0) {
      const refused = refusal("not_found", "no session of this sandbox has that key", "cancel one of its own");
      return this.#warden.refused({ verb: "database.cancel" }, refused);
    }
    await this.#warden.cancelled(session.setting);
    const { socket } = await connectUpstream(session.setting, session.addresses);
    socket.setTimeout(limits.web.dialTimeoutMs, () => socket.destroy());
    socket.resume().end(frame("", int32(CANCEL), session.cancelKey));
  }

  async #refuse(client: Duplex, database: string, refused: Refusal, code: string): Promise<void> {
    if (code === "08P01" || database === "")
      await this.#warden.refused({ verb: "database.connect", database: database.slice(0, 64) }, refused);
    client.end(errorFrame("FATAL", code, refused.reason, refused.remedy));
  }
}

const codeOf = (error: unknown): string => String((error as NodeJS.ErrnoException).code ?? "fault").slice(0, 40);
