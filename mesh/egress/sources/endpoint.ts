import { Agent, request, type Dispatcher } from "undici";
import { parseJson, type Json } from "../../../lib/json.ts";
import { err, ok, type Result } from "../../../lib/result.ts";
import { limits } from "../../../protocol/limits.ts";
import { trusting } from "../authorities.ts";

export interface JsonObject {
  readonly [key: string]: Json;
}

export interface EndpointRequest {
  readonly method: "GET" | "POST" | "PUT";
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Buffer | string;
}

export interface EndpointAnswer {
  readonly status: number;
  readonly body: JsonObject;
}

/** The error is for an operator: a code of the system or of HTTP, never what was sent or answered. */
export type Endpoint = (request: EndpointRequest, signal: AbortSignal) => Promise<Result<EndpointAnswer, string>>;

/**
 * Asks a server that the operator has named: https verified with the system's authorities and `ca`, no redirects, a
 * bounded answer in JSON (an empty one is an empty object), a bounded time.
 */
export function endpoint(ca: string | null): Endpoint & { close(): Promise<void> } {
  const dispatcher = new Agent({ connect: trusting(ca), connectTimeout: limits.source.timeoutMs });
  const ask: Endpoint = async ({ method, url, headers, body = null }, signal) => {
    const within = AbortSignal.any([signal, AbortSignal.timeout(limits.source.timeoutMs)]);
    try {
      const answer = await request(url, {
        ...{ method, body, dispatcher, signal: within },
        headers: { accept: "application/json", ...headers },
      });
      const bytes = await bounded(answer.body);
      if (!bytes) return err(`an answer of more than ${limits.source.answerBytesMax} bytes`);
      const parsed = bytes.length === 0 ? ok({}) : parseJson(bytes, limits.source.jsonDepthMax);
      bytes.fill(0);
      return parsed.ok || answer.statusCode >= 300
        ? ok({ status: answer.statusCode, body: parsed.ok ? objectOf(parsed.value) : {} })
        : err("an answer that is no JSON");
    } catch (cause) {
      const { code, name } = cause as NodeJS.ErrnoException;
      return err(code ?? name);
    }
  };
  return Object.assign(ask, { close: () => dispatcher.close() });
}

/** Of what is no object, one without members. */
export const objectOf = (value: Json | undefined): JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};

async function bounded(body: Dispatcher.ResponseData["body"]): Promise<Buffer | undefined> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of body as AsyncIterable<Buffer>) {
    size += piece.length;
    if (size > limits.source.answerBytesMax) return void body.destroy();
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}
