import { execFileSync, fork, spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { doorRoutes } from "../../../protocol/door.ts";
import { limits } from "../../../protocol/limits.ts";
import { CHAT_PATH } from "./calls.ts";
import type { Slice } from "./client.ts";

/** Client and provider share one core; the gateway that is measured has the other one for itself. */
export const CORES = { load: 0, gateway: 1 } as const;
/** Calls at one door before the next is taken. */
export const QUOTA = limits.door.requestsBurst - 12;

type Request = Slice["request"];
export type Way = "plain" | "tls";

/** One of those that are measured side by side. */
export interface Contestant {
  readonly name: string;
  /** Its process; none of the direct way. */
  readonly pid?: number;
  /** What the provider would be asked, in the way in which this one wants to be asked. */
  asked(request: Request): Request;
  /** Where a slice of load finds it; undefined: it does not go that way. */
  places(way: Way, count: number): Promise<readonly string[] | undefined>;
}

export interface Provider {
  readonly port: number;
  readonly tlsPort: number;
  readonly certificate: string;
}

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const children: ChildProcess[] = [];

/** A process of its own on one core; resolves with it and with the first message that it sends. */
export async function started(
  file: string,
  args: readonly string[],
  core: number,
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly child: ChildProcess; readonly first: unknown }> {
  const child = fork(here(file), args, {
    execPath: "/usr/bin/taskset",
    execArgv: ["-c", String(core), process.execPath, "--disable-warning=ExperimentalWarning", ...flagsOf(file)],
    env: { ...(file === MESH && ALLOCATOR), ...process.env, ...env },
  });
  children.push(child);
  return { child, first: await answerOf(child, file) };
}

const MESH = "./cordon.ts";
/** Those with which the command line starts the mesh. */
const ALLOCATOR = { MALLOC_ARENA_MAX: "2", MALLOC_TRIM_THRESHOLD_: "4000000" };
export const MESH_FLAGS = [
  "--disallow-code-generation-from-strings",
  "--no-parallel-scavenge",
  "--max-semi-space-size=8",
];
const flagsOf = (file: string): string[] => (file === MESH ? [...MESH_FLAGS, ...profiling()] : []);

/** `CORDON_PROFILE=FOLDER` writes a profile of the mesh there. */
const profiling = (): string[] => {
  const folder = process.env["CORDON_PROFILE"];
  return folder === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${folder}`];
};

export function answerOf(child: ChildProcess, what: string): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  const onExit = (code: number | null): void => reject(new Error(`${what} ended with ${code}`));
  child.once("exit", onExit).once("message", (message) => {
    child.off("exit", onExit);
    resolve(message);
  });
  return promise;
}

export async function endAll(): Promise<void> {
  for (const child of children) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    if (child.connected) child.disconnect();
    else child.kill();
    await ended;
  }
}

/** A key and a certificate of its own for `localhost`, made by openssl; undefined where there is none. */
export function certificateIn(folder: string): { readonly key: string; readonly certificate: string } | undefined {
  const made = { key: join(folder, "tls.key"), certificate: join(folder, "tls.pem") };
  const what = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost";
  const names = ["-addext", "subjectAltName=DNS:localhost", "-keyout", made.key, "-out", made.certificate];
  try {
    execFileSync("openssl", [...what.split(" "), ...names], { stdio: "ignore" });
    return made;
  } catch {
    return undefined;
  }
}

const asItIs = (request: Request): Request => request;
const always = (place: string) => (): Promise<readonly string[]> => Promise.resolve([place]);

export const direct = ({ port }: Provider): Contestant => ({
  name: "direct",
  asked: asItIs,
  places: (way) => Promise.resolve(way === "plain" ? [String(port)] : undefined),
});

export async function nginx(folder: string, { port, tlsPort, certificate }: Provider): Promise<Contestant | undefined> {
  const program = ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"].find((path) => existsSync(path));
  if (program === undefined) return undefined;
  const sockets = { plain: join(folder, "nginx.sock"), tls: join(folder, "nginx-tls.sock") };
  const upstream = (name: string, to: number): string =>
    `upstream ${name} { server 127.0.0.1:${to}; keepalive 2048; keepalive_requests 100000000; }`;
  const server = (socket: string, to: string, more: string): string => `server {
    listen unix:${socket}; keepalive_requests 100000000; client_max_body_size 2m; client_body_buffer_size 1m;
    location / {
      proxy_pass ${to}; proxy_http_version 1.1; proxy_buffering off; proxy_read_timeout 600s; ${more}
      proxy_set_header Connection ""; proxy_set_header Authorization "Bearer sk-bench-0123456789abcdef";
    } }`;
  const verified =
    `proxy_ssl_verify on; proxy_ssl_trusted_certificate ${certificate}; proxy_ssl_name localhost; ` +
    "proxy_ssl_server_name on;";
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (kind) => `${kind}_temp_path ${join(folder, `nginx-${kind}`)};`,
  );
  const file = join(folder, "nginx.conf");
  writeFileSync(
    file,
    `worker_processes 1; daemon off; master_process off; pid ${join(folder, "nginx.pid")}; error_log stderr crit;
events { worker_connections 8192; }
http { access_log off; ${temporary.join(" ")}
${upstream("plain", port)} ${server(sockets.plain, "http://plain", "")}
${tlsPort === 0 ? "" : `${upstream("tls", tlsPort)} ${server(sockets.tls, "https://tls", verified)}`} }`,
  );
  const child = spawn("taskset", ["-c", String(CORES.gateway), program, "-c", file], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  children.push(child);
  await answers(`unix:${sockets.plain}`);
  return {
    ...{ name: "nginx", asked: asItIs },
    ...(child.pid === undefined ? {} : { pid: child.pid }),
    places: (way) => Promise.resolve(way === "tls" && tlsPort === 0 ? undefined : [`unix:${sockets[way]}`]),
  };
}

export async function bare(folder: string, { port }: Provider): Promise<Contestant> {
  const socket = join(folder, "bare.sock");
  const { child } = await started("./bare.ts", [socket, `http://127.0.0.1:${port}`], CORES.gateway);
  return of("bare undici", child, (way) => (way === "plain" ? always(`unix:${socket}`)() : Promise.resolve(undefined)));
}

/** Its server listens on TCP only, and is told with each call where to send it. */
export async function portkey({ port }: Provider): Promise<Contestant | undefined> {
  const program = here("../peers/node_modules/@portkey-ai/gateway/build/start-server.js");
  if (!existsSync(program)) return undefined;
  const own = 20_000 + (process.pid % 20_000);
  const child = spawn(
    "taskset",
    ["-c", String(CORES.gateway), process.execPath, program, `--port=${own}`, "--headless"],
    { stdio: ["ignore", "ignore", "inherit"], env: { ...process.env, NODE_ENV: "production" } },
  );
  children.push(child);
  await answers(String(own));
  const host = `http://127.0.0.1:${port}/v1`;
  return {
    ...of("Portkey", child, (way) => Promise.resolve(way === "plain" ? [String(own)] : undefined)),
    asked: (request) => ({
      ...request,
      headers:
        `x-portkey-provider: openai\r\nx-portkey-custom-host: ${host}\r\n` +
        "authorization: Bearer sk-bench-0123456789abcdef\r\n",
    }),
  };
}

export async function cordon(
  name: string,
  folder: string,
  { port, tlsPort, certificate }: Provider,
  agents: number,
): Promise<Contestant> {
  const { child } = await started(
    "./cordon.ts",
    [folder, String(port), String(tlsPort), String(agents)],
    CORES.gateway,
    tlsPort === 0 ? {} : { NODE_EXTRA_CA_CERTS: certificate },
  );
  const places: Contestant["places"] = async (way, count) => {
    if (way === "tls" && tlsPort === 0) return undefined;
    child.send({ doors: count });
    return (await answerOf(child, name)) as string[];
  };
  const asked = (request: Request): Request =>
    request.path === CHAT_PATH ? { ...request, path: doorRoutes.openaiChat } : request;
  return { ...of(name, child, places), asked };
}

const of = (name: string, { pid }: ChildProcess, places: Contestant["places"]): Contestant => ({
  ...{ name, asked: asItIs, places },
  ...(pid === undefined ? {} : { pid }),
});

export const folderIn = (parent: string, name: string): string => mkdtempSync(join(parent, `${name}-`));

/** Resolves when something listens there. */
async function answers(place: string): Promise<void> {
  for (let attempt = 0; attempt < 600; attempt++) {
    const connected = await new Promise<boolean>((resolve) => {
      const socket = place.startsWith("unix:") ? connect(place.slice(5)) : connect(Number(place), "127.0.0.1");
      socket.once("error", () => resolve(false)).once("connect", () => (socket.destroy(), resolve(true)));
    });
    if (connected) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`nothing listens at ${place}`);
}
