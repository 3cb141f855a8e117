/** What the benchmark of the way to the web runs in processes of their own: the far end, the gateway, and mockttp. */
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer, type RequestListener, type ServerResponse } from "node:http";
import { createServer as createSecure } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { systemClock as clock } from "../../../lib/clock.ts";
import { randomId as ids } from "../../../lib/id.ts";
import { Secret } from "../../../lib/redact.ts";
import { createAudit } from "../../../mesh/audit/create.ts";
import { loadFleet } from "../../../mesh/config/load.ts";
import { denialsByCaller } from "../../../mesh/door/denials.ts";
import { Door } from "../../../mesh/door/door.ts";
import type { DoorServices } from "../../../mesh/door/services.ts";
import { Injector } from "../../../mesh/egress/credentials.ts";
import { BodyMemory } from "../../../mesh/http/body-memory.ts";
import { Gateway } from "../../../mesh/egress/web/gateway.ts";
import { createLedger } from "../../../mesh/ledger/create.ts";
import { ScopeTree } from "../../../mesh/ledger/scope-tree.ts";
import { Monitor } from "../../../mesh/monitor/monitor.ts";
import { matrixOf } from "../../../mesh/policy/matrix.ts";
import { openStore } from "../../../mesh/store/open.ts";
import type { Vault } from "../../../mesh/vault/vault.ts";
import { OutsideAuthority } from "../../fleet/web-place.ts";
import { auditKeys } from "../../simulation/world.ts";

const SECRET = "a-credential-of-usual-length-0123456789";
const BODY = JSON.stringify({
  items: Array.from({ length: 20 }, (_, i) => ({ id: i, name: `item ${i}`, tags: ["a", "b"] })),
});
const PIECE = Buffer.alloc(65_536, "0123456789abcdef");
/** Each byte could begin the credential. */
const WORST = Buffer.alloc(65_536, SECRET.slice(0, 1));

export interface Ports {
  readonly plain: number;
  readonly secure: number;
  /** As `secure`, for the name `localhost`. */
  readonly local: number;
  readonly ca: string;
}

export async function serveUpstream(): Promise<void> {
  const authority = new OutsideAuthority();
  const answer: RequestListener = (incoming, response) => {
    incoming.resume();
    const [path, query = ""] = incoming.url?.split("?") ?? [];
    if (path === "/big" || path === "/worst") return sendBig(path === "/big" ? PIECE : WORST, Number(query), response);
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

function sendBig(all: Buffer, bytes: number, response: ServerResponse): void {
  response.writeHead(200, { "content-length": bytes });
  let left = bytes;
  const more = (): void => {
    while (left > 0) {
      const piece = left < all.length ? all.subarray(0, left) : all;
      left -= piece.length;
      if (!response.write(piece)) return void response.once("drain", more);
    }
    response.end();
  };
  more();
}

/** The door's services, as far as the web needs them; each message `[agent, path]` opens one more door. */
export async function serveGateway(folder: string, { plain, secure, ca }: Ports): Promise<void> {
  const file = join(folder, "cordon.yaml");
  const agent = (to: string, more = ""): string =>
    `{ model: rehearsal/echo, command: [/a], may: { ${more} reach: [{ to: "${to}", address: 127.0.0.1 }] } }`;
  writeFileSync(
    file,
    `
version: 1
fleet: bench
bindings: { key: [{ to: "https://api.test:${secure}", in: { header: authorization } }] }
agents:
  plain: ${agent(`http://api.test:${plain}`)}
  ended: ${agent(`https://api.test:${secure}`)}
  bound: ${agent(`https://api.test:${secure}`, "use: [key],")}
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
    count: () => [],
    look: () => new Secret(Buffer.from(SECRET)),
    generation: () => "1",
    retiring: () => [],
  } as unknown as Vault;
  const services = {
    ...{ clock, ids, audit, ledger, scopes, matrix: matrixOf(fleet), bodies: new BodyMemory() },
    monitor: new Monitor(clock),
    denials: denialsByCaller({ clock, audit }),
    web: new Gateway({ clock, injector: new Injector(vault), bindings: fleet.bindings ?? [], ca }),
    halted: () => undefined,
    halt: () => {},
  } as unknown as DoorServices;
  const open = async ([name = "", path = ""]: readonly string[]): Promise<void> => {
    await new Door(services, { agent: name, sandbox: `sbx_${path.slice(-8)}` }).listen(path);
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

export interface MockttpPorts {
  readonly ca: string;
  readonly plain: number;
  readonly injected: number;
  readonly replaced: number;
}

/** One proxy for each set of rules. */
export async function serveMockttp(program: string, { ca }: Ports): Promise<void> {
  const { getLocal, generateCACertificate } = (await import(program)) as Mockttp;
  const own = await generateCACertificate();
  const trusted = { additionalTrustedCAs: [{ cert: ca }] };
  const transformRequest = { updateHeaders: { authorization: `Bearer ${SECRET}` } };
  const transformResponse = { matchReplaceBody: [[SECRET, "[removed]"]] };
  const start = async (rules: object): Promise<number> => {
    const server = getLocal({ https: own, recordTraffic: false });
    await server.start();
    await server.forAnyRequest().thenPassThrough({ ...trusted, ...rules });
    return server.port;
  };
  const plain = await start({});
  const injected = await start({ transformRequest });
  process.send?.({ ca: own.cert, plain, injected, replaced: await start({ transformRequest, transformResponse }) });
}
