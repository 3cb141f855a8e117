import { chmodSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { limits } from "../../protocol/limits.ts";
import { refusal, type Refusal } from "../../protocol/refusal.ts";
import { readJson, sendJson, sendNothing, sendRefusal } from "../http/exchange.ts";
import { StoreFailure } from "../store/store.ts";
import { deskRoutes } from "./routes.ts";
import type { DeskServices } from "./services.ts";
import type { DeskToken } from "./token.ts";

export class DeskError extends Error {
  override readonly name = "DeskError";
}

/** A part of zone 1 that may ask for one thing only. */
export interface DeskChannel {
  readonly token: DeskToken;
  /** A key of `deskRoutes`. */
  readonly route: string;
}

/** Zone 1's way into the mesh. No route answers without the token, on the Unix socket either. */
export class Desk {
  readonly #services: DeskServices;
  readonly #token: DeskToken;
  readonly #channels: readonly DeskChannel[];
  readonly #servers: Server[] = [];

  constructor(services: DeskServices, token: DeskToken, channels: readonly DeskChannel[] = []) {
    this.#services = services;
    this.#token = token;
    this.#channels = channels;
  }

  async listenOnSocket(path: string): Promise<void> {
    if (Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX) {
      throw new DeskError(
        `the state folder's path is too long for a socket (\`${path}\` has more than ${SOCKET_PATH_BYTES_MAX} bytes): choose a shorter one with \`--state\``,
      );
    }
    // The state is locked by this process, so a socket that is there belongs to nobody.
    rmSync(path, { force: true });
    const server = this.#server(() => true);
    await listening(server, () => server.listen({ path, readableAll: false, writableAll: false }), path);
    chmodSync(path, 0o600);
  }

  /** Loopback only: another address would show the desk to the network. */
  async listenOnPort(host: string, port: number): Promise<number> {
    if (!LOOPBACK.has(host))
      throw new DeskError(
        `\`--listen ${host}\` is not a loopback address: use 127.0.0.1, and a reverse proxy with a login of its own for more`,
      );
    // A page of another site that has its name point here must not be answered (DNS rebinding).
    const server = this.#server((authority) => authority !== undefined && LOOPBACK_AUTHORITY.test(authority));
    await listening(server, () => server.listen({ host, port, exclusive: true }), `${host}:${port}`);
    return (server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    await Promise.all(
      this.#servers.map((server) => {
        const { promise, resolve } = Promise.withResolvers<void>();
        server.close(() => resolve());
        server.closeAllConnections();
        return promise;
      }),
    );
  }

  #server(authorityAllowed: (authority: string | undefined) => boolean): Server {
    const server = createServer(
      {
        maxHeaderSize: limits.door.headerBytesMax,
        headersTimeout: limits.door.headTimeoutMs,
        requestTimeout: limits.door.requestTimeoutMs,
        connectionsCheckingInterval: 1_000,
      },
      (request, response) => {
        response.on("error", () => response.destroy());
        this.#answer(request, response, authorityAllowed(request.headers.host)).catch((error: unknown) => {
          if (!(error instanceof StoreFailure))
            this.#services.monitor.emit("mesh.fault", null, { error: String(error).slice(0, 400) });
          sendRefusal(
            response,
            refusal(
              "store_failed",
              "the request failed inside the mesh",
              "`cordon events --type mesh.fault` says what went wrong",
            ),
          );
        });
      },
    );
    server.maxHeadersCount = limits.door.headerCountMax;
    server.maxConnections = limits.desk.connectionsMax;
    // Node's server has let go of it: nobody else hears of its errors.
    server.on("connect", (_request, socket) => socket.on("error", () => undefined).destroy());
    this.#servers.push(server);
    return server;
  }

  /** The operator for everything, a channel for its own route. */
  #admits({ headers, method, url }: IncomingMessage): boolean {
    if (this.#token.admits(headers.authorization)) return true;
    const [path = ""] = (url ?? "").split("?", 1);
    const pattern = find(method ?? "", path)?.pattern;
    return this.#channels.some(({ token, route }) => token.admits(headers.authorization) && pattern === route);
  }

  async #answer(request: IncomingMessage, response: ServerResponse, authorityAllowed: boolean): Promise<void> {
    // An `Origin` is sent by browsers only; nothing of ours runs in one yet, so each is somebody else's page.
    if (!authorityAllowed || request.headers.origin !== undefined || !this.#admits(request)) {
      this.#services.monitor.emitSparsely("desk.refused", null, { path: (request.url ?? "").slice(0, 80) });
      return sendRefusal(
        response,
        refusal(
          "unauthenticated",
          "the desk answers to its token only",
          "use the `cordon` command as the owner of the state folder",
        ),
      );
    }
    // Only the canonical spelling of a path is known: no decoding, no normalising.
    const [path = "", query] = (request.url ?? "").split("?", 2);
    const found = find(request.method ?? "", path);
    if (!found) return sendRefusal(response, unknown(request.method ?? "", path));
    const body = request.method === "POST" ? await readJson(request, limits.desk.bodyBytesMax) : undefined;
    if (body && !body.ok) return sendRefusal(response, body.error);
    const gone = new AbortController();
    response.once("close", () => gone.abort());
    const answer = await found.handler(this.#services, {
      name: found.name,
      query: new URLSearchParams(query),
      body: body?.value.value ?? null,
      signal: gone.signal,
    });
    if (!answer.ok) return sendRefusal(response, answer.error);
    if (answer.value === null) return sendNothing(response);
    sendJson(response, 200, answer.value);
  }
}

function find(
  method: string,
  path: string,
): { readonly handler: (typeof deskRoutes)[string]; readonly name: string; readonly pattern: string } | undefined {
  const exact = `${method} ${path}`;
  const fixed = exact.includes("*") ? undefined : handlerOf(exact);
  if (fixed) return { handler: fixed, name: "", pattern: exact };
  const parts = path.split("/");
  const name = parts[3] ?? "";
  if (!/^[a-z0-9_-]{1,64}$/.test(name)) return undefined;
  const pattern = `${method} ${[...parts.slice(0, 3), "*", ...parts.slice(4)].join("/")}`;
  const handler = handlerOf(pattern);
  return handler && { handler, name, pattern };
}

const handlerOf = (pattern: string) => (Object.hasOwn(deskRoutes, pattern) ? deskRoutes[pattern] : undefined);

const unknown = (method: string, path: string): Refusal =>
  refusal(
    "not_found",
    `the desk has no \`${method.slice(0, 16)} ${path.slice(0, 80)}\``,
    "use a `cordon` of the same version as the mesh",
  );

/** `sun_path` of Linux holds 108 bytes with its final zero (unix(7)). */
const SOCKET_PATH_BYTES_MAX = 107;
const LOOPBACK = new Set(["127.0.0.1", "::1", "localhost"]);
const LOOPBACK_AUTHORITY = /^(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?$/;

function listening(server: Server, listen: () => void, where: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", (error: NodeJS.ErrnoException) => {
    const taken = error.code === "EADDRINUSE";
    reject(
      new DeskError(
        taken
          ? `${where} is in use: stop what listens there, or choose another with \`--listen\``
          : `cannot listen on ${where}: ${error.message}`,
        { cause: error },
      ),
    );
  });
  server.once("listening", resolve);
  listen();
  return promise;
}
