import { request, type IncomingHttpHeaders } from "node:http";
import { systemClock, type Clock } from "../../../lib/clock.ts";
import { Secret } from "../../../lib/redact.ts";
import { startRehearsal, type Rehearsal } from "../rehearsal.ts";
import type { Scenario } from "../scenario/scenario.ts";

export const TEST_KEY = "test-key-0123456789";
export const testKey = (): Secret => new Secret(Buffer.from(TEST_KEY));

export interface Answered {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** False when the connection was cut before the end. */
  readonly complete: boolean;
}

/** A server on a port of its own with the key above; `seed` and time of ids are fixed. */
export const startForTest = (scenarios: readonly Scenario[] = [], clock: Partial<Clock> = {}): Promise<Rehearsal> =>
  startRehearsal({
    listen: { host: "127.0.0.1", port: 0 },
    scenarios,
    apiKey: testKey(),
    seed: "seed",
    clock: { ...systemClock, nowMs: () => 1_800_000_000_000, ...clock },
  });

export interface Asked {
  readonly path: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** Sees every chunk; true ends the connection. */
  readonly onData?: (text: string) => boolean;
}

/** One request over a real connection, by the right key unless `headers` says otherwise. */
export function ask(server: Rehearsal, asked: Asked): Promise<Answered> {
  const { listen } = server;
  const where = "socketPath" in listen ? listen : { host: listen.host, port: listen.port };
  const headers = { authorization: `Bearer ${TEST_KEY}`, "content-type": "application/json", ...asked.headers };
  return new Promise((resolve, reject) => {
    const outgoing = request(
      { ...where, path: asked.path, method: asked.method ?? "POST", headers, agent: false },
      (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => {
          text += chunk;
          if (asked.onData?.(text)) outgoing.destroy();
        });
        response.on("error", () => undefined);
        response.on("close", () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text, complete: response.complete }),
        );
      },
    );
    outgoing.on("error", (error) => reject(error));
    outgoing.end(
      asked.body === undefined ? undefined : typeof asked.body === "string" ? asked.body : JSON.stringify(asked.body),
    );
  });
}

export const askOpenAi = (server: Rehearsal, body: object, more: Partial<Asked> = {}): Promise<Answered> =>
  ask(server, { path: "/v1/chat/completions", body, ...more });

export const askAnthropic = (server: Rehearsal, body: object, more: Partial<Asked> = {}): Promise<Answered> =>
  ask(server, { path: "/v1/messages", body, ...more, headers: { "anthropic-version": "2023-06-01", ...more.headers } });
