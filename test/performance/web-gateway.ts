/**
 * The way to the web beside nginx as a reverse proxy and mockttp with the same rules: the same client and far end, 16
 * connections, interleaved rounds, each server in a process of its own and on the same core, which client and far end
 * leave to it; the gateway with a real store, audit and ledger.
 * Then what 1 GiB takes on its way down, and what a hundred sandboxes take. mockttp is measured where
 * test/performance/peers is installed.
 * Usage: node test/performance/web-gateway.ts [--rounds N] [--warm N] [--mib N] [--sandboxes N]
 */
import { execFileSync, fork, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { systemClock as clock } from "../../lib/clock.ts";
import { CORES, MESH_FLAGS } from "./gateway/contestants.ts";
import { residentMiB } from "./gateway/process-costs.ts";
import { report, round, single, tunnelled, type Lane, type Measured } from "./web-gateway/load.ts";
import { serveGateway, serveMockttp, serveUpstream, type MockttpPorts, type Ports } from "./web-gateway/servers.ts";

const here = fileURLToPath(import.meta.url);
const mockttp = fileURLToPath(new URL("peers/node_modules/mockttp/dist/main.js", import.meta.url));
const MIB = 1_048_576;

const children: ChildProcess[] = [];
async function started(
  role: string,
  place: string,
  ports?: Ports,
): Promise<{ readonly child: ChildProcess; readonly first: unknown }> {
  const core = role === "upstream" ? CORES.load : CORES.gateway;
  const flags = ["--disable-warning=ExperimentalWarning", ...(role === "gateway" ? MESH_FLAGS : [])];
  const child = fork(here, ["--serve", role, "--place", place, "--ports", JSON.stringify(ports ?? null)], {
    execPath: "/usr/bin/taskset",
    execArgv: ["-c", String(core), process.execPath, ...flags],
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
  const server = [program, "-c", join(folder, "nginx.conf"), "-p", folder];
  const child = spawn("taskset", ["-c", String(CORES.gateway), ...server], { stdio: "ignore" });
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

const pidOf = ({ pid }: ChildProcess): { readonly pid?: number } => (pid === undefined ? {} : { pid });

/** The gateway, and a new door of it for each opening of a lane. */
class CordonLanes {
  readonly child: ChildProcess;
  readonly #folder: string;
  #doors = 0;

  constructor(child: ChildProcess, folder: string) {
    this.child = child;
    this.#folder = folder;
  }

  lane(agent: string, host: string, more: Partial<Lane> = {}): Lane {
    const open: Lane["open"] = async () => {
      const path = await this.#door(agent);
      return agent === "plain" ? tunnelled({ path }, host) : tunnelled({ path }, host, await authorityAt(path));
    };
    return { name: `cordon, ${agent}`, ...pidOf(this.child), host, open, ...more };
  }

  async #door(agent: string): Promise<string> {
    const path = join(this.#folder, `d${this.#doors++}.sock`);
    this.child.send([agent, path]);
    await once(this.child, "message");
    return path;
  }
}

async function authorityAt(socketPath: string): Promise<string> {
  const pieces: Buffer[] = [];
  const asked = request({ socketPath, path: "/v1/web/authority.pem" }).end();
  const [response] = (await once(asked, "response")) as [AsyncIterable<Buffer>];
  for await (const piece of response) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

async function mockttpLanes(ports: Ports): Promise<Lane[]> {
  if (!existsSync(mockttp)) {
    console.log("mockttp is not installed: run `npm ci --ignore-scripts` in test/performance/peers");
    return [];
  }
  const { child, first } = await started("mockttp", mockttp, ports);
  const { ca, ...proxies } = first as MockttpPorts;
  // It resolves names by itself; the one on this machine that always resolves is its own address.
  const lane = (name: string, proxy: number, port: number, secured: boolean): Lane => {
    const host = `localhost:${port}`;
    const open = tunnelled({ port: proxy, host: "127.0.0.1" }, host, secured ? ca : undefined);
    return { name: `mockttp, ${name}`, ...pidOf(child), host, open: () => Promise.resolve(open) };
  };
  return [
    lane("plain", proxies.plain, ports.plain, false),
    lane("TLS ended", proxies.plain, ports.local, true),
    lane("+ injected", proxies.injected, ports.local, true),
    lane("+ injected + replaced", proxies.replaced, ports.local, true),
  ];
}

/** The most that a process has resident while something goes on, above what it has before. */
async function growth(pid: number, what: () => Promise<unknown>): Promise<number> {
  const before = residentMiB(pid);
  let most = before;
  const watch = setInterval(() => (most = Math.max(most, residentMiB(pid))), 20);
  await what();
  clearInterval(watch);
  return Math.max(most, residentMiB(pid)) - before;
}

interface Sizes {
  readonly rounds: number;
  readonly warm: number;
  readonly mib: number;
  readonly sandboxes: number;
}

async function main({ rounds, warm, mib, sandboxes }: Sizes): Promise<void> {
  execFileSync("taskset", ["-acp", String(CORES.load), String(process.pid)]);
  const folder = mkdtempSync(join(tmpdir(), "cordon-web-bench-"));
  try {
    const ports = (await started("upstream", folder)).first as Ports;
    const { child: gateway } = await started("gateway", folder, ports);
    const nginx = await startNginx(folder, ports.plain);
    const cordon = new CordonLanes(gateway, folder);
    const at = { plain: `api.test:${ports.plain}`, secure: `api.test:${ports.secure}` };
    const plain = cordon.lane("plain", at.plain, { beside: "mockttp, plain" });
    const ended = cordon.lane("ended", at.secure, { name: "cordon, TLS ended", beside: "mockttp, TLS ended" });
    const bound = cordon.lane("bound", at.secure, {
      name: "cordon, TLS ended + injected + scrubbed",
      beside: "mockttp, + injected + replaced",
      headers: { authorization: "Bearer cordon_ph_key" },
    });
    const direct = {
      host: at.plain,
      open: () => Promise.resolve(async () => connect({ port: ports.plain, host: "127.0.0.1" })),
    };
    const throughNginx = { host: at.plain, open: () => Promise.resolve(async () => connect(nginx.path)) };
    const lanes: Lane[] = [
      { name: "direct", ...direct },
      { name: "nginx, plain", ...pidOf(nginx.child), ...throughNginx },
      ...[plain, ended, bound],
      ...(await mockttpLanes(ports)),
    ];
    const sums = new Map<string, Measured>(
      lanes.map(({ name }) => [name, { latencies: [], seconds: 0, cpu: 0, requests: 0 }]),
    );
    // Whoever compiles while it runs is measured when it has (after some 20,000 requests in each lane): a gateway runs for days.
    for (let i = 0; i < warm; i++)
      for (const lane of lanes) await round(lane, { latencies: [], seconds: 0, cpu: 0, requests: 0 });
    for (let i = 0; i < rounds; i++) for (const lane of lanes) await round(lane, sums.get(lane.name)!);
    report(lanes, sums);
    const pid = gateway.pid ?? 0;
    for (const [lane, path, what] of [
      [plain, "/big", ""],
      [bound, "/big", ""],
      [bound, "/worst", " in which each byte could begin the credential"],
    ] as const) {
      await single(lane, "/items");
      const extra = await growth(pid, () => single(lane, `${path}?${mib * MIB}`));
      console.log(`${lane.name}: ${mib} MiB${what} came down in ${extra.toFixed(1)} MiB of extra memory`);
    }
    for (const lane of [plain, bound]) {
      const extra = await growth(pid, async () => {
        for (let i = 0; i < sandboxes; i++) await single(lane, "/items");
      });
      console.log(`${lane.name}: ${sandboxes} sandboxes that have asked once take ${extra.toFixed(1)} MiB`);
    }
  } finally {
    for (const child of children) child.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  }
}

const text = { type: "string" } as const;
const { values } = parseArgs({
  options: { rounds: text, warm: text, mib: text, sandboxes: text, serve: text, place: text, ports: text },
});
const place = values.place ?? "";
const ports = JSON.parse(values.ports ?? "null") as Ports;
if (values.serve === "upstream") await serveUpstream();
else if (values.serve === "gateway") await serveGateway(place, ports);
else if (values.serve === "mockttp") await serveMockttp(place, ports);
else {
  const { rounds = 4, warm = 24, mib = 1_024, sandboxes = 100 } = values;
  await main({ rounds: Number(rounds), warm: Number(warm), mib: Number(mib), sandboxes: Number(sandboxes) });
}
