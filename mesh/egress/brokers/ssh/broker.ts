import type { Duplex } from "node:stream";
import type { Clock } from "../../../../lib/clock.ts";
import { err, ok, type Result } from "../../../../lib/result.ts";
import { GitOpening } from "../../../../protocol/door.ts";
import { limits } from "../../../../protocol/limits.ts";
import { refusal, type Refusal } from "../../../../protocol/refusal.ts";
import { TokenBucket } from "../../../http/bucket.ts";
import type { Injector } from "../../credentials.ts";
import { isAddress } from "../../web/address.ts";
import { Pinning, systemResolver } from "../../web/resolver.ts";
import { ClientReader, FrameWriter, SessionFault } from "./frames.ts";
import { PrivateKeys, type SigningKey } from "./private-key.ts";
import { isMeant, readRequest, type GitRequest } from "./request.ts";
import { SessionRelay } from "./session.ts";
import type { RepositorySetting } from "./setting.ts";
import type { Upstream } from "./upstream.ts";
import type { RepositoryWarden } from "./warden.ts";

export interface BrokerParts {
  readonly clock: Clock;
  readonly injector: Pick<Injector, "lend">;
  readonly repositories: readonly RepositorySetting[];
  /** How long nothing may move; absent = as the limits say. */
  readonly stallMs?: number;
  readonly connectMs?: number;
}

/** The repositories of the fleet file, and what all sandboxes' ways to them have in common. */
export class SshBroker {
  readonly parts: BrokerParts;
  readonly pinning: Pinning;
  readonly keys: PrivateKeys;

  constructor(parts: BrokerParts) {
    this.parts = parts;
    this.pinning = new Pinning(systemResolver, parts.clock);
    this.keys = new PrivateKeys(parts.clock);
  }

  setting(name: string): RepositorySetting | undefined {
    return this.parts.repositories.find((each) => each.name === name);
  }

  /** The way of one sandbox, as long as its door stands. */
  lane(warden: RepositoryWarden): RepositoryLane {
    return new RepositoryLane(this, warden);
  }
}

interface Begun {
  readonly setting: RepositorySetting;
  readonly upstream: Upstream;
}

export class RepositoryLane {
  readonly #broker: SshBroker;
  readonly #warden: RepositoryWarden;
  readonly #bucket: TokenBucket;
  readonly #clients = new Set<Duplex>();
  readonly #served = new Set<Promise<unknown>>();

  constructor(broker: SshBroker, warden: RepositoryWarden) {
    this.#broker = broker;
    this.#warden = warden;
    this.#bucket = new TokenBucket(broker.parts.clock, limits.git.sessionsBurst, limits.git.sessionsPerMinute / 60);
  }

  /** What git takes for `ssh` begins to speak. */
  enter(client: Duplex): void {
    client.on("error", () => client.destroy());
    this.#clients.add(client);
    client.once("close", () => this.#clients.delete(client));
    const served = this.#serve(client)
      .catch((error: unknown) => {
        if (!(error instanceof SessionFault)) this.#warden.fault(error);
        client.destroy();
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
    const writer = new FrameWriter(client);
    const tell = async ({ reason, remedy }: Refusal): Promise<void> => {
      await writer.error(`cordon: ${reason}: ${remedy}\n`);
      writer.exit(128);
    };
    const most = limits.git.sessionsMax;
    if (this.#clients.size > most || !this.#bucket.take()) {
      const many = refusal("rate_limited", "too many sessions from this sandbox", `at most ${most} at once`);
      await this.#warden.refused({ verb: "git.connect" }, many);
      return tell(many);
    }
    const reader = new ClientReader(client);
    const opened = await this.#opening(client, reader);
    if (!opened) return void client.destroy();
    const begun = opened.ok ? await this.#begin(opened.value) : opened;
    if (!opened.ok || !begun.ok) return tell(begun.ok ? refusal("malformed", "", "") : begun.error);
    const { setting, upstream } = begun.value;
    const { service } = opened.value;
    const { clock, stallMs = limits.git.stallMs } = this.#broker.parts;
    const relay = new SessionRelay({
      ...{ setting, service, client, reader, writer, upstream, clock, stallMs, warden: this.#warden },
    });
    try {
      await this.#warden.closed(setting, service, await relay.run());
    } finally {
      upstream.close();
    }
  }

  /** One line: how `ssh` was called. Undefined: nothing came. */
  async #opening(client: Duplex, reader: ClientReader): Promise<Result<GitRequest, Refusal> | undefined> {
    const stop = new AbortController();
    this.#broker.parts.clock.sleep(limits.git.openingTimeoutMs, stop.signal).then(
      () => client.destroy(),
      () => {},
    );
    const line = await reader
      .line(limits.git.openingBytesMax)
      .catch((error: unknown) => {
        if (error instanceof SessionFault) return error;
        return null;
      })
      .finally(() => stop.abort());
    if (!line) return undefined;
    const request = line instanceof SessionFault ? malformed(line.message) : readOpening(line);
    if (!request.ok) await this.#warden.refused({ verb: "git.connect" }, request.error);
    return request;
  }

  /** Decides, records, connects and starts the program: in this order. */
  async #begin(request: GitRequest): Promise<Result<Begun, Refusal>> {
    const { service } = request;
    const place = `${request.host}:${request.port}/${request.path}`.slice(0, 200);
    const no = async (refused: Refusal): Promise<Result<never, Refusal>> => {
      await this.#warden.refused({ verb: verbOf(request), repository: place }, refused);
      return err(refused);
    };
    const setting = this.#meant(request);
    if (!setting)
      return no(
        refusal(
          "denied",
          `\`${place}\` is not a repository of this agent`,
          "add it to `repositories` and to `may.repositories`",
        ),
      );
    const permit = await this.#warden.permit(service, setting.name);
    if (!permit.ok) return permit;
    if (service === "git-receive-pack" && !setting.push)
      return no(
        refusal("denied", `\`${setting.name}\` is read only`, `set \`repositories.${setting.name}.write: true\``),
      );
    const target = { host: setting.host, port: setting.port, literal: isAddress(setting.host) };
    const pinned = await this.#broker.pinning.pin(target, setting.address, () => true);
    if (!pinned.ok)
      return no({ ...pinned.error, remedy: `name the very address: \`repositories.${setting.name}.address\`` });
    const lent = this.#lend(setting);
    if (!lent.ok) return no(lent.error);
    try {
      const addresses = pinned.value;
      const admitted = await this.#warden.admit(
        { setting, service, addresses, writes: lent.value.writes },
        permit.value.rule,
      );
      if (!admitted.ok) return admitted;
      const key = await this.#broker.keys.open(setting.key, lent.value.body, lent.value.passphrase);
      if (!key.ok)
        return no(
          refusal(
            "upstream_failed",
            `the key \`${setting.key}\` is not used: ${key.error}`,
            `store another one: cordon credential rotate ${setting.key}`,
          ),
        );
      const upstream = await this.#call(request, setting, addresses, key.value);
      return upstream.ok ? ok({ setting, upstream: upstream.value }) : no(upstream.error);
    } finally {
      lent.value.erase();
    }
  }

  /** Of the agent's own: that there are others at all, it is not told. */
  #meant(request: GitRequest): RepositorySetting | undefined {
    const own = this.#broker.parts.repositories.filter(({ name }) => this.#warden.repositories.includes(name));
    return own.find((each) => isMeant(request, each));
  }

  async #call(
    { service, protocol }: GitRequest,
    setting: RepositorySetting,
    addresses: readonly string[],
    key: SigningKey,
  ): Promise<Result<Upstream, Refusal>> {
    // Loaded when it is needed: a fleet without repositories never holds it.
    const { callUpstream, UpstreamFault } = await import("./upstream.ts");
    const { connectMs: timeoutMs = limits.git.connectTimeoutMs } = this.#broker.parts;
    try {
      // The path is the fleet file's and holds no character with a meaning to a shell.
      const command = `${service} '${setting.path}'`;
      return ok(await callUpstream({ setting, addresses, key, command, protocol, timeoutMs }));
    } catch (error) {
      if (!(error instanceof UpstreamFault)) this.#warden.fault(error);
      const why = error instanceof UpstreamFault ? error.message : "it failed";
      return err(refusal("upstream_failed", `no connection to \`${setting.name}\`: ${why}`, "ask the operator"));
    }
  }

  #lend({ key, passphrase, host, port }: RepositorySetting): Result<Lent, Refusal> {
    const use = { agent: this.#warden.agent, destination: `${host}:${port}` };
    const { injector } = this.#broker.parts;
    const names = [key, ...(passphrase === null ? [] : [passphrase])];
    const lent = names.map((name) => injector.lend(name, use));
    const missing = names[lent.indexOf(undefined)];
    const erase = (): void => lent.forEach((each) => each?.bytes.fill(0));
    if (missing !== undefined) {
      erase();
      this.#broker.keys.forget(key);
      return err(
        refusal("denied", `there is no credential \`${missing}\``, `add it: cordon credential add ${missing}`),
      );
    }
    const [body, words] = lent.map((each) => each?.bytes);
    return ok({
      ...{ body: body ?? Buffer.alloc(0), passphrase: words ?? null, erase },
      writes: lent.flatMap((each) => each?.writes ?? []),
    });
  }
}

interface Lent {
  readonly body: Uint8Array;
  readonly passphrase: Uint8Array | null;
  readonly writes: NonNullable<ReturnType<Injector["lend"]>>["writes"];
  erase(): void;
}

const verbOf = ({ service }: GitRequest): string => (service === "git-receive-pack" ? "git.push" : "git.fetch");
const malformed = (reason: string): Result<never, Refusal> => err(refusal("malformed", reason, "let git call it"));

function readOpening(line: Buffer): Result<GitRequest, Refusal> {
  try {
    const parsed = GitOpening.safeParse(JSON.parse(line.toString("utf8")));
    return parsed.success ? readRequest(parsed.data) : malformed("the first line is not a call of `ssh`");
  } catch {
    return malformed("the first line is not JSON");
  }
}
