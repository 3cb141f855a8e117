/**
 * The way to the web beside nginx as a reverse proxy: the same client and upstream, 16 connections, interleaved rounds, each
 * server in a process of its own; the gateway with a real store, audit and ledger. CORDON_MOCKTTP=FOLDER measures the
 * `mockttp` that is installed there with the same rules as well. Usage: node test/performance/web-gateway.ts [--rounds N]
 */
import { fork, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { Agent, createServer, request, type RequestListener } from "node:http";
import { createServer as createSecure } from "node:https";
import { connect, type AddressInfo, type NetConnectOpts, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { systemClock as clock } from "../../lib/clock.ts";
import { randomId as ids } from "../../lib/id.ts";
import { Secret } from "../../lib/redact.ts";
import { createAudit } from "../../mesh/audit/create.ts";
import { loadFleet } from "../../mesh/config/load.ts";
import { denialsByCaller } from "../../mesh/door/denials.ts";
import { Door } from "../../mesh/door/door.ts";
import type { DoorServices } from "../../mesh/door/services.ts";
import { Injector } from "../../mesh/egress/credentials.ts";
import { Gateway } from "../../mesh/egress/web/gateway.ts";
import { createLedger } from "../../mesh/ledger/create.ts";
import { ScopeTree } from "../../mesh/ledger/scope-tree.ts";
import { Monitor } from "../../mesh/monitor/monitor.ts";
import { matrixOf } from "../../mesh/policy/matrix.ts";
import { openStore } from "../../mesh/store/open.ts";
import type { Vault } from "../../mesh/vault/vault.ts";
import { OutsideAuthority } from "../fleet/web-place.ts";
import { auditKeys } from "../simulation/world.ts";
import { cpuSeconds, residentMiB } from "./gateway/process-costs.ts";

const here = fileURLToPath(import.meta.url);
const SECRET = "a-credential-of-usual-length-0123456789";
const CONNECTIONS = 16;
/** Of one round: what one sandbox may send at once. */
const REQUESTS = 900;
const BODY = JSON.stringify({
  items: Array.from({ length: 20 }, (_, i) => ({ id: i, name: `item ${i}`, tags: ["a", "b"] })),
});

interface Ports {
  readonly plain: number;
  readonly secure: number;
  /** As `secure`, for the name `localhost`. */
  readonly local: number;
  readonly ca: string;
}

async function serveUpstream(): Promise<void> {
  const authority = new OutsideAuthority();
  const answer: RequestListener = (incoming, response) => {
    incoming.resume();
    response
      .writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(BODY) })
      .end(BODY);
  };
  const servers = [
    createServer(answer),
    createSecure(authority.issue("api.test"), answer),
    createSecure(authority.issue("localhost"), answer),
  ];
  const [plain, secure, local] = await Promise.all(
    servers.map(async (server) => {
      server.keepAliveTimeout = 60_000;
      await once(server.listen(0, "127.0.0.1"), "listening");
      return (server.address() as AddressInfo).port;
    }),
  );
  process.send?.({ plain, secure, local, ca: authority.pem });
}

/** The door's services, as far as the web needs them. */
async function serveGateway(folder: string, { plain, secure, ca }: Ports): Promise<void> {
  const file = join(folder, "cordon.yaml");
  writeFileSync(
    file,
    `
version: 1
fleet: bench
bindings: { key: [{ to: "https://api.test:${secure}", in: { header: authorization } }] }
agents:
  plain: { model: rehearsal/echo, command: [/a], may: { reach: [{ to: "http://api.test:${plain}", address: 127.0.0.1 }] } }
  bound: { model: rehearsal/echo, command: [/a], may: { use: [key], reach: [{ to: "https://api.test:${secure}", address: 127.0.0.1 }] } }
`,
  );
  const fleet = loadFleet(file);
  const store = await openStore({ path: join(folder, "state") });
  const audit = createAudit({ store, clock, ...auditKeys() });
  const scopes = new ScopeTree(fleet);
  const ledger = await createLedger({
    ...{ store, audit, clock, ids },
    timeZone: "UTC",
    caps: (scope) => scopes.caps(scope),
  });
  const vault = {
    reveal: () => ({ secret: new Secret(Buffer.from(SECRET)), version: 1, writes: [] }),
    look: () => new Secret(Buffer.from(SECRET)),
    generation: () => "1",
    retiring: () => [],
  } as unknown as Vault;
  const services = {
    ...{ clock, ids, audit, ledger, scopes, matrix: matrixOf(fleet) },
    monitor: new Monitor(clock),
    denials: denialsByCaller({ clock, audit }),
    web: new Gateway({ clock, injector: new Injector(vault), bindings: fleet.bindings ?? [], ca }),
    halted: () => undefined,
    halt: () => {},
  } as unknown as DoorServices;
  const open = async ([agent = "", path = ""]: readonly string[]): Promise<void> => {
    await new Door(services, { agent, sandbox: `sbx_${path.slice(-8)}` }).listen(path);
    process.send?.("up");
  };
  process.on("message", (message: readonly string[]) => void open(message));
  process.send?.("up");
}

/** What is used of it. */
interface Mockttp {
  generateCACertificate(): Promise<{ readonly key: string; readonly cert: string }>;
  getLocal(options: unknown): {
    readonly port: number;
    start(): Promise<void>;
    forAnyRequest(): { thenPassThrough(options: unknown): Promise<unknown> };
  };
}

async function serveMockttp(folder: string, { ca }: Ports): Promise<void> {
  const { getLocal, generateCACertificate } = (await import(
    join(folder, "node_modules/mockttp/dist/main.js")
  )) as Mockttp;
  const own = await generateCACertificate();
  const server = getLocal({ https: own, recordTraffic: false });
  await server.start();
  await server.forAnyRequest().thenPassThrough({
    additionalTrustedCAs: [{ cert: ca }],
    transformRequest: { updateHeaders: { authorization: `Bearer ${SECRET}` } },
    transformResponse: { matchReplaceBody: [[SECRET, "[removed]"]] },
  });
  process.send?.({ port: server.port, ca: own.cert });
}

const children: ChildProcess[] = [];
async function started(
  role: string,
  folder: string,
  ports?: Ports,
): Promise<{ readonly child: ChildProcess; readonly first: unknown }> {
  const child = fork(here, ["--serve", role, "--place", folder, "--ports", JSON.stringify(ports ?? null)], {
    execArgv: ["--disable-warning=ExperimentalWarning"],
  });
  children.push(child);
  const [first] = (await once(child, "message")) as [unknown];
  return { child, first };
}

/** nginx as a reverse proxy with one worker and connections that are kept. */
async function startNginx(
  folder: string,
  upstream: number,
): Promise<{ readonly child: ChildProcess; readonly path: string }> {
  const program = ["/usr/sbin/nginx", "/usr/bin/nginx"].find((each) => existsSync(each)) ?? "nginx";
  const path = join(folder, "nginx.sock");
  mkdirSync(join(folder, "nginx"));
  writeFileSync(
    join(folder, "nginx.conf"),
    `daemon off; master_process off; worker_processes 1; pid ${folder}/nginx/pid; error_log ${folder}/nginx/error;
events { worker_connections 512; }
http { access_log off; client_body_temp_path ${folder}/nginx/b; proxy_temp_path ${folder}/nginx/p; fastcgi_temp_path ${folder}/nginx/f; uwsgi_temp_path ${folder}/nginx/u; scgi_temp_path ${folder}/nginx/s;
  upstream far { server 127.0.0.1:${upstream}; keepalive 64; }
  server { listen unix:${path}; keepalive_requests 1000000; location / { proxy_pass http://far; proxy_http_version 1.1; proxy_set_header Connection ""; } } }`,
  );
  const child = spawn(program, ["-c", join(folder, "nginx.conf"), "-p", folder], { stdio: "ignore" });
  children.push(child);
  for (let i = 0; i < 100; i++) {
    const up = await new Promise<boolean>((resolve) => {
      const probe = connect(path, () => resolve(true)).on("error", () => resolve(false));
      probe.once("connect", () => probe.destroy());
    });
    if (up) break;
    await clock.sleep(50);
  }
  return { child, path };
}

type Open = () => Promise<Socket>;

/** A tunnel through a proxy, with TLS in it where an authority is given. */
const tunnelled =
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

interface Lane {
  readonly name: string;
  readonly pid?: number;
  readonly host: string;
  readonly headers?: Record<string, string>;
  open(): Promise<Open>;
}

interface Measured {
  readonly latencies: number[];
  seconds: number;
  cpu: number;
  requests: number;
}

async function round({ host, headers = {}, pid, open }: Lane, sum: Measured): Promise<void> {
  const make = await open();
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  agent.createConnection = (_options, done) => {
    make().then(
      (socket) => done?.(null, socket),
      (error: unknown) => done?.(error as Error, undefined as never),
    );
    return undefined;
  };
  const ask = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const outgoing = request(
        { agent, path: "/items?page=1", headers: { host, accept: "application/json", ...headers } },
        (response) => {
          if (response.statusCode !== 200) reject(new Error(`status ${response.statusCode}`));
          response.resume().once("end", resolve);
        },
      );
      outgoing.once("error", reject).end();
    });
  // The connections are made before the clock starts.
  await Promise.all(Array.from({ length: CONNECTIONS }, ask));
  const cpuBefore = pid === undefined ? 0 : cpuSeconds(pid);
  const startedAt = clock.monotonicMs();
  let left = REQUESTS;
  await Promise.all(
    Array.from({ length: CONNECTIONS }, async () => {
      while (left-- > 0) {
        const at = clock.monotonicMs();
        await ask();
        sum.latencies.push(clock.monotonicMs() - at);
      }
    }),
  );
  sum.seconds += (clock.monotonicMs() - startedAt) / 1_000;
  sum.cpu += pid === undefined ? 0 : cpuSeconds(pid) - cpuBefore;
  sum.requests += REQUESTS;
  agent.destroy();
}

const quantile = (sorted: readonly number[], q: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;

async function main(rounds: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "cordon-web-bench-"));
  try {
    const ports = (await started("upstream", folder)).first as Ports;
    const { child: gateway } = await started("gateway", folder, ports);
    const nginx = await startNginx(folder, ports.plain);
    let doors = 0;
    const door = async (agent: string): Promise<string> => {
      const path = join(folder, `d${doors++}.sock`);
      gateway.send([agent, path]);
      await once(gateway, "message");
      return path;
    };
    const at = { plain: `api.test:${ports.plain}`, secure: `api.test:${ports.secure}` };
    const authorityAt = async (path: string): Promise<string> => {
      const pieces: Buffer[] = [];
      const asked = request({ socketPath: path, path: "/v1/web/authority.pem" }).end();
      const [response] = (await once(asked, "response")) as [AsyncIterable<Buffer>];
      for await (const piece of response) pieces.push(piece);
      return Buffer.concat(pieces).toString();
    };
    const lanes: Lane[] = [
      {
        name: "direct",
        host: at.plain,
        open: () => Promise.resolve(async () => connect({ port: ports.plain, host: "127.0.0.1" })),
      },
      {
        name: "nginx, plain",
        ...pidOf(nginx.child),
        host: at.plain,
        open: () => Promise.resolve(async () => connect(nginx.path)),
      },
      {
        name: "cordon, plain",
        ...pidOf(gateway),
        host: at.plain,
        open: async () => tunnelled({ path: await door("plain") }, at.plain),
      },
      {
        name: "cordon, TLS ended + injected + scrubbed",
        ...pidOf(gateway),
        host: at.secure,
        headers: { authorization: "Bearer cordon_ph_key" },
        open: async () => {
          const path = await door("bound");
          return tunnelled({ path }, at.secure, await authorityAt(path));
        },
      },
    ];
    const mock = process.env["CORDON_MOCKTTP"];
    if (mock !== undefined) {
      const { child, first } = await started("mockttp", mock, ports);
      const { port, ca } = first as { port: number; ca: string };
      // It resolves names by itself; the one on this machine that always resolves is its own address.
      lanes.push({
        name: "mockttp, TLS ended + injected + replaced",
        ...pidOf(child),
        host: `localhost:${ports.local}`,
        open: () => Promise.resolve(tunnelled({ port, host: "127.0.0.1" }, `localhost:${ports.local}`, ca)),
      });
    }
    const sums = new Map<string, Measured>(
      lanes.map(({ name }) => [name, { latencies: [], seconds: 0, cpu: 0, requests: 0 }]),
    );
    for (let i = 0; i < rounds; i++) for (const lane of lanes) await round(lane, sums.get(lane.name)!);
    report(lanes, sums);
    console.log(`gateway process after ${doors} sandboxes: ${residentMiB(gateway.pid ?? 0).toFixed(0)} MiB resident`);
  } finally {
    for (const child of children) child.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  }
}

const pidOf = ({ pid }: ChildProcess): { readonly pid?: number } => (pid === undefined ? {} : { pid });

function report(lanes: readonly Lane[], sums: ReadonlyMap<string, Measured>): void {
  const rows = lanes.map(({ name, pid }) => {
    const { latencies, seconds, cpu, requests } = sums.get(name)!;
    const sorted = latencies.toSorted((a, b) => a - b);
    return {
      name,
      p50: quantile(sorted, 0.5),
      p99: quantile(sorted, 0.99),
      perSecond: requests / seconds,
      perCpu: pid === undefined ? Number.NaN : requests / cpu,
    };
  });
  const [direct, nginx] = rows;
  for (const { name, p50, p99, perSecond, perCpu } of rows) {
    console.log(
      `${name.padEnd(42)} ${perSecond.toFixed(0).padStart(6)}/s  added p50 ${(p50 - (direct?.p50 ?? 0)).toFixed(2)} ms, p99 ${(p99 - (direct?.p99 ?? 0)).toFixed(2)} ms` +
        (Number.isNaN(perCpu)
          ? ""
          : `  ${perCpu.toFixed(0).padStart(6)} per CPU-second, ${(perCpu / (nginx?.perCpu ?? 1)).toFixed(3)} x nginx`),
    );
  }
}

const { values } = parseArgs({
  options: {
    rounds: { type: "string" },
    serve: { type: "string" },
    place: { type: "string" },
    ports: { type: "string" },
  },
});
const place = values.place ?? "";
const ports = JSON.parse(values.ports ?? "null") as Ports;
if (values.serve === "upstream") await serveUpstream();
else if (values.serve === "gateway") await serveGateway(place, ports);
else if (values.serve === "mockttp") await serveMockttp(place, ports);
else await main(Number(values.rounds ?? 4));
