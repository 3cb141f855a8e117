/** The client of the benchmark, and what it measures. */
import { once } from "node:events";
import { Agent, request, type IncomingMessage } from "node:http";
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

function agentFor(make: Open, maxSockets: number): Agent {
  const agent = new Agent({ keepAlive: true, maxSockets });
  agent.createConnection = (_options, done) => {
    make().then(
      (socket) => done?.(null, socket),
      (error: unknown) => done?.(error as Error, undefined as never),
    );
    return undefined;
  };
  return agent;
}

/** Resolves with the bytes of the answer. */
async function ask(agent: Agent, path: string, headers: Record<string, string>): Promise<number> {
  const [response] = (await once(request({ agent, path, headers }).end(), "response")) as [IncomingMessage];
  let bytes = 0;
  let start = "";
  response.on("data", (piece: Buffer) => {
    bytes += piece.length;
    if (start.length < 200) start += piece.toString("latin1", 0, 200);
  });
  await once(response, "end");
  if (response.statusCode !== 200) throw new Error(`status ${response.statusCode}: ${start}`);
  return bytes;
}

interface Connected {
  readonly agent: Agent;
  one(): Promise<number>;
}

/**
 * The connections are made before the clock starts. A proxy that takes a port of the client for one of its own says that it
 * is asked in a circle (mockttp does, now and then): then others are made.
 */
async function connected(open: Open, headers: Record<string, string>, triesLeft = 20): Promise<Connected> {
  const agent = agentFor(open, CONNECTIONS);
  const one = (): Promise<number> => ask(agent, "/items?page=1", headers);
  const asked = await Promise.allSettled(Array.from({ length: CONNECTIONS }, one));
  const failed = asked.find((each) => each.status === "rejected");
  if (!failed) return { agent, one };
  agent.destroy();
  if (triesLeft === 0 || !/loop detected/.test(String(failed.reason))) throw failed.reason;
  return connected(open, headers, triesLeft - 1);
}

export async function round({ host, headers = {}, pid, open }: Lane, sum: Measured): Promise<void> {
  const all = { host, accept: "application/json", ...headers };
  const { agent, one } = await connected(await open(), all);
  const cpuBefore = pid === undefined ? 0 : cpuSeconds(pid);
  const startedAt = clock.monotonicMs();
  let left = REQUESTS;
  await Promise.all(
    Array.from({ length: CONNECTIONS }, async () => {
      while (left-- > 0) {
        const at = clock.monotonicMs();
        await one();
        sum.latencies.push(clock.monotonicMs() - at);
      }
    }),
  );
  sum.seconds += (clock.monotonicMs() - startedAt) / 1_000;
  sum.cpu += pid === undefined ? 0 : cpuSeconds(pid) - cpuBefore;
  sum.requests += REQUESTS;
  agent.destroy();
}

/** One request on one connection; the bytes that came back. */
export async function single({ host, headers = {}, open }: Lane, path: string): Promise<number> {
  const agent = agentFor(await open(), 1);
  try {
    return await ask(agent, path, { host, ...headers });
  } finally {
    agent.destroy();
  }
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
