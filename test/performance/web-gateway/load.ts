/** The client of the benchmark, and what it measures. */
import { once } from "node:events";
import { connect, type NetConnectOpts, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { systemClock as clock } from "../../../lib/clock.ts";
import { cpuSeconds } from "../gateway/process-costs.ts";

const CONNECTIONS = 16;
/** Of one round: what one sandbox may send at once. */
const REQUESTS = 900;

export type Open = () => Promise<Socket>;

export interface Lane {
  readonly name: string;
  /** Whose CPU counts. */
  readonly pid?: number;
  readonly host: string;
  readonly headers?: Record<string, string>;
  /** The lane with which requests per CPU-second are compared besides nginx. */
  readonly beside?: string;
  open(): Promise<Open>;
}

export interface Measured {
  readonly latencies: number[];
  seconds: number;
  cpu: number;
  requests: number;
}

/** A tunnel through a proxy, with TLS in it where an authority is given. */
export const tunnelled =
  (proxy: NetConnectOpts, to: string, ca?: string): Open =>
  async () => {
    const socket = connect(proxy);
    socket.write(`CONNECT ${to} HTTP/1.1\r\nHost: ${to}\r\n\r\n`);
    await once(socket, "data");
    if (ca === undefined) return socket;
    const secure = connectTls({ socket, servername: to.split(":")[0] ?? "", ca });
    await once(secure, "secureConnect");
    return secure;
  };

/**
 * One connection that is kept, and costs little: with a client that is slower than a server the server sleeps between two
 * requests, and to wake it is then most of what it costs.
 */
class Client {
  readonly #socket: Socket;
  readonly #request: Buffer;
  #waiting: PromiseWithResolvers<number> | undefined;
  /** Of the answer: what came until its head was whole; of its body the length that was said, what has come, and its end. */
  #start = "";
  #inBody = false;
  #length: number | undefined;
  #bytes = 0;
  #end = "";

  constructor(socket: Socket, path: string, headers: Record<string, string>) {
    const fields = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    this.#socket = socket;
    this.#request = Buffer.from(`GET ${path} HTTP/1.1\r\n${fields.join("")}\r\n`);
    const onGone = (): void => this.#waiting?.reject(new Error(`the connection ended: ${this.#start.slice(0, 300)}`));
    socket.setNoDelay?.(true);
    socket
      .on("data", (bytes: Buffer) => this.#take(bytes))
      .on("close", onGone)
      .on("error", onGone);
  }

  /** Resolves with the bytes of the answer's body. */
  ask(): Promise<number> {
    this.#waiting = Promise.withResolvers<number>();
    [this.#start, this.#inBody, this.#bytes, this.#end] = ["", false, 0, ""];
    this.#socket.write(this.#request);
    return this.#waiting.promise;
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #take(bytes: Buffer): void {
    let body = bytes;
    if (!this.#inBody) {
      this.#start += bytes.toString("latin1");
      const end = this.#start.indexOf("\r\n\r\n");
      if (end < 0) return;
      const head = this.#start.slice(0, end + 2);
      if (!head.startsWith("HTTP/1.1 200 ")) return this.#waiting?.reject(new Error(this.#start.slice(0, 600)));
      const [, length] = /^content-length: *(\d+)\r$/im.exec(head) ?? [];
      this.#length = length === undefined ? undefined : Number(length);
      this.#inBody = true;
      body = bytes.subarray(bytes.length - (this.#start.length - end - 4));
    }
    this.#bytes += body.length;
    this.#end = (this.#end + body.toString("latin1", Math.max(0, body.length - LAST_CHUNK.length))).slice(
      -LAST_CHUNK.length,
    );
    const whole = this.#length === undefined ? this.#end === LAST_CHUNK : this.#bytes >= this.#length;
    if (whole) this.#waiting?.resolve(this.#bytes);
  }
}
const LAST_CHUNK = "0\r\n\r\n";

/**
 * The connections are made before the clock starts. A proxy that takes a port of the client for one of its own says that it
 * is asked in a circle (mockttp does, now and then): then others are made.
 */
async function connected(open: Open, headers: Record<string, string>, triesLeft = 20): Promise<readonly Client[]> {
  const clients = await Promise.all(
    Array.from({ length: CONNECTIONS }, async () => new Client(await open(), "/items?page=1", headers)),
  );
  const asked = await Promise.allSettled(clients.map((client) => client.ask()));
  const failed = asked.find((each) => each.status === "rejected");
  if (!failed) return clients;
  for (const client of clients) client.destroy();
  if (triesLeft === 0 || !/loop detected/.test(String(failed.reason))) throw failed.reason;
  return connected(open, headers, triesLeft - 1);
}

export async function round({ host, headers = {}, pid, open }: Lane, sum: Measured): Promise<void> {
  const all = { host, accept: "application/json", ...headers };
  const clients = await connected(await open(), all);
  const cpuBefore = pid === undefined ? 0 : cpuSeconds(pid);
  const startedAt = clock.monotonicMs();
  let left = REQUESTS;
  await Promise.all(
    clients.map(async (client) => {
      while (left-- > 0) {
        const at = clock.monotonicMs();
        await client.ask();
        sum.latencies.push(clock.monotonicMs() - at);
      }
    }),
  );
  sum.seconds += (clock.monotonicMs() - startedAt) / 1_000;
  sum.cpu += pid === undefined ? 0 : cpuSeconds(pid) - cpuBefore;
  sum.requests += REQUESTS;
  for (const client of clients) client.destroy();
}

/** One request on one connection; the bytes that came back. */
export async function single({ host, headers = {}, open }: Lane, path: string): Promise<number> {
  const make = await open();
  const client = new Client(await make(), path, { host, ...headers });
  return client.ask().finally(() => client.destroy());
}

const quantile = (sorted: readonly number[], q: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;

/** `direct` is the first lane; what others add is added to it. */
export function report(lanes: readonly Lane[], sums: ReadonlyMap<string, Measured>): void {
  const rows = lanes.map(({ name, pid, beside }) => {
    const { latencies, seconds, cpu, requests } = sums.get(name)!;
    const sorted = latencies.toSorted((a, b) => a - b);
    const perCpu = pid === undefined ? Number.NaN : requests / cpu;
    return {
      name,
      beside,
      p50: quantile(sorted, 0.5),
      p99: quantile(sorted, 0.99),
      perSecond: requests / seconds,
      perCpu,
    };
  });
  const [direct] = rows;
  const perCpuOf = (lane: string): number => rows.find(({ name }) => name === lane)?.perCpu ?? Number.NaN;
  for (const { name, beside, p50, p99, perSecond, perCpu } of rows) {
    const added = `added p50 ${(p50 - (direct?.p50 ?? 0)).toFixed(2)} ms, p99 ${(p99 - (direct?.p99 ?? 0)).toFixed(2)} ms`;
    const cost = Number.isNaN(perCpu)
      ? ""
      : `  ${perCpu.toFixed(0).padStart(6)} per CPU-second, ${(perCpu / perCpuOf("nginx, plain")).toFixed(3)} x nginx`;
    const peer =
      beside === undefined || Number.isNaN(perCpuOf(beside))
        ? ""
        : `, ${(perCpu / perCpuOf(beside)).toFixed(2)} x ${beside}`;
    console.log(`${name.padEnd(42)} ${perSecond.toFixed(0).padStart(6)}/s  ${added}${cost}${peer}`);
  }
}
