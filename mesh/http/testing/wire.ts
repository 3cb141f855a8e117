import { Agent, createServer, request, type Server } from "node:http";
import { duplexPair } from "node:stream";

/** What Node's parser (llhttp) reads. */
export interface Reading {
  readonly status: number;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: string;
}

export const fieldsOf = (rawHeaders: readonly string[]): (readonly [string, string])[] =>
  rawHeaders.flatMap((name, at) => (at % 2 === 0 ? [[name.toLowerCase(), rawHeaders[at + 1] ?? ""] as const] : []));

/** An answer to a POST as Node's client reads it; undefined when it refuses it. `ends`: the connection ends after it. */
export function nodeReadsAnswer(bytes: Buffer, ends: boolean): Promise<Reading | undefined> {
  const [near, far] = duplexPair();
  const { promise, resolve } = Promise.withResolvers<Reading | undefined>();
  const agent = new Agent();
  agent.createConnection = () => near;
  const asked = request({ agent, method: "POST", host: "x" }, (answer) => {
    let body = "";
    answer.setEncoding("latin1").on("data", (text: string) => (body += text));
    answer
      .once("error", () => resolve(undefined))
      .once("end", () => {
        if (answer.complete) resolve({ status: answer.statusCode ?? 0, headers: fieldsOf(answer.rawHeaders), body });
      });
  });
  asked.on("error", () => resolve(undefined)).on("upgrade", () => resolve(undefined));
  asked.on("close", () => setImmediate(() => resolve(undefined)));
  asked.end();
  far.on("error", () => {}).resume();
  if (ends) far.end(bytes);
  // What is not whole by then stays so.
  else far.write(bytes, () => setTimeout(() => near.destroy(), 2));
  return promise.finally(() => near.destroy());
}

export interface Asked {
  readonly method: string;
  readonly target: string;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

/** The requests that Node's server reads out of these bytes, and all bytes after them are refused or missing. */
export async function nodeReadsRequests(bytes: Buffer, options: Parameters<typeof createServer>[0]): Promise<Asked[]> {
  const asked: Asked[] = [];
  const server: Server = createServer({ ...options }, (incoming, answer) => {
    let body = "";
    incoming.setEncoding("latin1").on("data", (text: string) => (body += text));
    incoming.once("end", () => {
      const { method = "", url = "", headers } = incoming;
      asked.push({ method, target: url, headers, body });
      answer.end();
    });
  });
  const [near, far] = duplexPair();
  const over = new Promise<void>((resolve) => near.once("close", resolve));
  server.on("clientError", (_error, socket) => socket.destroy());
  server.emit("connection", near);
  far.on("error", () => {}).resume();
  far.end(bytes);
  await over;
  return asked;
}
