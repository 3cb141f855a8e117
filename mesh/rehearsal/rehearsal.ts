import { chmod, lstat, unlink } from "node:fs/promises";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { Clock } from "../../lib/clock.ts";
import type { Secret } from "../../lib/redact.ts";
import { limits } from "../../protocol/limits.ts";
import { createKeyCheck } from "./authorize.ts";
import { handle, type HandlerOptions } from "./handler.ts";
import { builtInScenarios } from "./scenario/built-in.ts";
import type { Scenario } from "./scenario/scenario.ts";

export type Listen = { readonly socketPath: string } | { readonly host: string; readonly port: number };

export interface RehearsalOptions {
  readonly listen: Listen;
  /** In addition to `echo`, `counter` and `fault`. */
  readonly scenarios: readonly Scenario[];
  /** Wanted as `Authorization: Bearer` or `x-api-key`. Only its hash is kept. */
  readonly apiKey: Secret;
  /** Same seed, same conversation: same ids. */
  readonly seed: string;
  readonly clock: Clock;
}

export interface Rehearsal {
  /** Where it listens, with the port that was chosen. */
  readonly listen: Listen;
  close(): Promise<void>;
}

/**
 * A provider that is not one: scripted, deterministic, labelled as what it is in every answer
 * (`x-cordon-rehearsal: 1`, `system_fingerprint: "rehearsal"`, model ids `rehearsal/…`).
 *
 *   POST /v1/chat/completions, /v1/responses, /v1/embeddings                            OpenAI format
 *   POST /v1/messages, /v1/messages/count_tokens                                         Anthropic format
 *   POST /v1/models/MODEL:{generateContent,streamGenerateContent,batchEmbedContents}     Gemini format
 *   GET  /v1/models                                                                      in the format of who asks
 */
export async function startRehearsal(options: RehearsalOptions): Promise<Rehearsal> {
  const handlerOptions: HandlerOptions = {
    scenarios: byName([...builtInScenarios, ...options.scenarios]),
    isAuthorized: createKeyCheck(options.apiKey),
    seed: options.seed,
    clock: options.clock,
  };
  const server = createServer(
    {
      maxHeaderSize: limits.door.headerBytesMax,
      headersTimeout: limits.door.headTimeoutMs,
      requestTimeout: limits.door.requestTimeoutMs,
      keepAliveTimeout: limits.door.keepAliveMs,
      noDelay: true,
    },
    (request, response) => {
      handle(request, response, handlerOptions).catch((error: unknown) => breakOff(response, error));
    },
  );
  server.maxConnections = limits.rehearsal.connectionsMax;
  const listen = await open(server, options.listen);
  return { listen, close: () => close(server, options.clock) };
}

/** The client has gone, or there is a fault here: in the middle of an answer nothing more can be said. */
function breakOff(response: ServerResponse, error: unknown): void {
  if (response.destroyed || response.headersSent) {
    response.destroy();
    return;
  }
  const message = `the rehearsal failed: ${String(error)}`;
  response.writeHead(500, { "content-type": "application/json" });
  response.end(JSON.stringify({ error: { message, type: "server_error", param: null, code: null } }));
}

function byName(scenarios: readonly Scenario[]): ReadonlyMap<string, Scenario> {
  const found = new Map<string, Scenario>();
  for (const scenario of scenarios) {
    if (found.has(scenario.name)) throw new Error(`two scenarios are called \`${scenario.name}\`: rename one of them`);
    found.set(scenario.name, scenario);
  }
  return found;
}

async function open(server: Server, listen: Listen): Promise<Listen> {
  const isSocket = "socketPath" in listen;
  if (isSocket) await removeStale(listen.socketPath);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(isSocket ? { path: listen.socketPath } : { host: listen.host, port: listen.port }, () => {
      server.off("error", reject);
      resolve();
    });
  });
  if (isSocket) {
    await chmod(listen.socketPath, 0o600);
    return listen;
  }
  const address = server.address();
  return { host: listen.host, port: typeof address === "object" && address ? address.port : listen.port };
}

/** A mesh that was killed leaves its socket; anything but a socket is left alone and makes listening fail. */
async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch(() => null);
  if (found?.isSocket()) await unlink(path);
}

/** Lets answers under way finish for `closeGraceMs`, then ends them. */
async function close(server: Server, clock: Clock): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  const done = new AbortController();
  const grace = clock.sleep(limits.rehearsal.closeGraceMs, done.signal).catch(() => undefined);
  await Promise.race([closed, grace]);
  server.closeAllConnections();
  done.abort();
  await closed;
}
