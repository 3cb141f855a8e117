/**
 * A door that goes through a relay, for as long as its sandbox lives: a container of its own, in a network of its own, that shares
 * with the sandbox a folder and nothing else. A relay that ends is replaced, under another key; too often, and the sandbox is ended.
 */
import { pipeline } from "node:stream";
import { limits } from "../../../protocol/limits.ts";
import { RELAY_READY, type RelayOrders } from "../../../protocol/door-relay.ts";
import type { Clock } from "../../../lib/clock.ts";
import type { Id } from "../../../lib/id.ts";
import { TokenBucket } from "../../http/bucket.ts";
import { SandboxError, type SandboxEvent } from "../backend.ts";
import { cpuQuotaUs, cpuShares } from "../bundle.ts";
import { Network, read } from "./answers.ts";
import type { DockerEngine } from "./engine.ts";
import { FrameReader } from "./frames.ts";
import { idOf } from "./image.ts";
import { networkOf, relayContainerOf, relayName, type RelayPlan, volumeOf } from "./relay-container.ts";
import { RelayPort } from "./relay-port.ts";
import type { Resources } from "./resources.ts";

const REMEDY = "see `cordon doctor`; a firewall of this machine must let the bridges of docker reach it";
const PER_MINUTE = limits.docker.relayRestartsPerMinuteMax;

export interface RelayParts {
  readonly engine: DockerEngine;
  readonly resources: Resources;
  readonly clock: Clock;
  readonly id: Id;
  /** The door's socket on this machine. */
  readonly door: string;
  /** The sandbox's share of a core, which its relay may use as much again of. */
  readonly cpus: number;
  /** Throws unless the kernel shows the fence of the container. */
  confirm(container: string): Promise<void>;
  tell(event: SandboxEvent): void;
  /** The door is gone for good. */
  gone(): void;
}

export class DoorRelay {
  /** Where the sandbox finds its door. */
  readonly volume: string;
  readonly #plan: RelayPlan;
  readonly #parts: RelayParts;
  readonly #restarts: TokenBucket;
  #gateway = "";
  #container: string | undefined;
  #port: RelayPort | undefined;
  #mending: Promise<void> = Promise.resolve();
  #closed = false;
  #gone = false;

  constructor(plan: RelayPlan, parts: RelayParts) {
    this.volume = relayName(plan);
    this.#plan = plan;
    this.#parts = parts;
    this.#restarts = new TokenBucket(parts.clock, PER_MINUTE, PER_MINUTE / 60);
  }

  /** Resolves when the door stands in the volume. What it makes has the sandbox's labels and is removed by them. */
  async open(): Promise<void> {
    const { engine } = this.#parts;
    const made = await Promise.allSettled([
      engine.ask("POST", "/volumes/create", volumeOf(this.#plan)),
      this.#makeNetwork(),
    ]);
    // Both have settled, so that the way down finds all that there is.
    for (const part of made) if (part.status === "rejected") throw part.reason;
    const [, network] = made;
    this.#gateway = network.status === "fulfilled" ? await this.#gatewayOf(network.value) : "";
    await this.#raise();
  }

  /** Nothing comes through any more, and no other relay is begun. Never throws. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#port?.close();
    await this.#mending;
  }

  async #makeNetwork(): Promise<string> {
    try {
      return idOf(await this.#parts.engine.ask("POST", "/networks/create", networkOf(this.#plan)), "Id");
    } catch (error) {
      // Its usual pools are about thirty networks.
      if (!(error instanceof SandboxError && /address pool/.test(error.message))) throw error;
      const remedy =
        "cut the `default-address-pools` in the engine's daemon.json smaller, for example to a `size` of 29";
      throw new SandboxError(error.message, remedy, { cause: error });
    }
  }

  async #gatewayOf(network: string): Promise<string> {
    const { IPAM } = read(Network, await this.#parts.engine.ask("GET", `/networks/${network}`));
    return IPAM.Config[0]?.Gateway ?? "";
  }

  async #raise(): Promise<void> {
    const { engine, resources, clock, id, door, cpus } = this.#parts;
    const { bindTo, host } = this.#plan.way;
    if (this.#container !== undefined) {
      await resources.removeOne("container", `/containers/${this.#container}?force=1&v=1`, this.#plan.id);
    }
    let up = false;
    const port = new RelayPort({
      ...{ door, id, clock },
      on: {
        refused: (event) => this.#parts.tell(event),
        lost: () => up && this.#lost(),
      },
    });
    this.#port = port;
    try {
      const orders = await port.listen(bindTo ?? this.#gateway, host ?? this.#gateway);
      const name = `${this.volume}.run`;
      const answer = await engine.ask("POST", `/containers/create?name=${name}`, relayContainerOf(this.#plan));
      const container = idOf(answer, "Id");
      this.#container = container;
      await this.#order(container, orders);
      up = port.linked;
      if (!up) throw new SandboxError("the relay of the door has ended at once", REMEDY);
      await engine.ask("POST", `/containers/${container}/update`, {
        CpuQuota: cpuQuotaUs(cpus),
        CpuShares: cpuShares(cpus),
      });
      if (this.#closed) throw new SandboxError("the sandbox has ended", REMEDY);
    } catch (error) {
      up = false;
      port.close();
      throw error;
    }
  }

  /** Starts the relay and gives it its orders, when the kernel has shown its fence; resolves when its end of the door stands. */
  async #order(container: string, orders: RelayOrders): Promise<void> {
    const { engine, clock } = this.#parts;
    const way = "stream=1&stdin=1&stdout=1&stderr=1";
    const socket = await engine.stream(`/containers/${container}/attach?${way}`);
    const waiting = new AbortController();
    try {
      await engine.ask("POST", `/containers/${container}/start`);
      await this.#parts.confirm(container);
      clock.sleep(limits.sandbox.startTimeoutMs, waiting.signal).then(
        () => socket.destroy(),
        () => undefined,
      );
      socket.write(`${JSON.stringify(orders)}\n`);
      const said = await firstLine(pipeline(socket, new FrameReader(), () => undefined));
      if (said === RELAY_READY) return;
      throw new SandboxError(`the relay of the door does not reach the mesh: ${said || "no answer"}`, REMEDY);
    } finally {
      waiting.abort();
      socket.destroy();
    }
  }

  #lost(): void {
    if (this.#closed) return;
    this.#port?.close();
    this.#parts.tell({ type: "door_lost" });
    this.#mending = this.#mend();
  }

  async #mend(): Promise<void> {
    try {
      if (!this.#restarts.take()) throw new SandboxError("the relay of the door ends again and again", REMEDY);
      await this.#raise();
      if (!this.#closed) this.#parts.tell({ type: "door_mended" });
    } catch {
      this.#gone = true;
      if (!this.#closed) this.#parts.gone();
    }
  }

  /** No relay will come any more: there is no sandbox without a door. */
  get isGone(): boolean {
    return this.#gone;
  }
}

async function firstLine(frames: AsyncIterable<Buffer>): Promise<string> {
  let text = "";
  try {
    for await (const chunk of frames) {
      text += chunk.toString("latin1");
      if (text.includes("\n") || text.length > limits.docker.relayAnswerBytesMax) break;
    }
  } catch {
    // The connection has broken off: what was said until then is all there is.
  }
  return text.slice(0, limits.docker.relayAnswerBytesMax).split("\n")[0] ?? "";
}
