/**
 * The few calls of the Docker Engine API (1.41) that sandboxes need, over its Unix socket and nothing else.
 * Every answer is bounded in size and time; the engine is trusted as much as the host is, for it is root there.
 */
import { type ClientRequest, type IncomingMessage, request } from "node:http";
import type { Socket } from "node:net";
import type { Readable } from "node:stream";
import { limits } from "../../../protocol/limits.ts";
import type { Clock } from "../../../lib/clock.ts";
import { SandboxError } from "../backend.ts";

/** 20.10 and later; a newer engine goes on answering it. */
const VERSION = "/v1.41";
export const DOCKER_SOCKET = "/var/run/docker.sock";

export interface Asked {
  readonly status: number;
  /** Parsed JSON, or the text when it is none. */
  readonly body: unknown;
}

export class DockerEngine {
  readonly socketPath: string;
  readonly #clock: Clock;

  constructor(socketPath: string, clock: Clock) {
    this.socketPath = socketPath;
    this.#clock = clock;
  }

  /** Throws SandboxError when the engine does not answer or says no. */
  async ask(method: string, path: string, body?: object | Readable, timeoutMs?: number): Promise<unknown> {
    const { status, body: answer } = await this.try(method, path, body, timeoutMs);
    if (status < 400) return answer;
    throw new SandboxError(`docker refused \`${method} ${path.split("?")[0]}\`: ${reasonIn(answer)}`, REMEDY);
  }

  /** As `ask`, but what the engine refuses is a value. */
  async try(method: string, path: string, body?: object | Readable, timeoutMs?: number): Promise<Asked> {
    const outgoing = this.#request(method, path, isStream(body) ? "application/x-tar" : "application/json");
    const bound = this.#bound(outgoing, timeoutMs ?? limits.sandbox.toolTimeoutMs);
    try {
      const answer = await new Promise<IncomingMessage>((resolve, reject) => {
        outgoing.once("response", resolve).once("error", reject);
        if (isStream(body)) body.once("error", reject).pipe(outgoing);
        else outgoing.end(body === undefined ? undefined : JSON.stringify(body));
      });
      const text = await textOf(answer);
      bound.assertInTime();
      return { status: answer.statusCode ?? 500, body: parse(text) };
    } catch (error) {
      throw this.#silent(error);
    } finally {
      bound.end();
    }
  }

  /** Hands on what the engine sends, of whatever length; `use` must read it to its end. Throws SandboxError. */
  async download<T>(path: string, timeoutMs: number, use: (answer: Readable) => Promise<T>): Promise<T> {
    const outgoing = this.#request("GET", path, "application/json");
    const bound = this.#bound(outgoing, timeoutMs);
    try {
      const answer = await new Promise<IncomingMessage>((resolve, reject) => {
        outgoing.once("response", resolve).once("error", reject).end();
      });
      if (answer.statusCode === 200) {
        const used = await use(answer);
        bound.assertInTime();
        return used;
      }
      const reason = reasonIn(parse(await textOf(answer)));
      throw new SandboxError(`docker refused \`GET ${path}\`: ${reason}`, REMEDY);
    } catch (error) {
      throw this.#silent(error);
    } finally {
      bound.end();
      outgoing.destroy();
    }
  }

  /** Opens the raw stream of an attach or an exec; its reader sees a fault of it as an early end. Throws SandboxError. */
  async stream(path: string, body?: object): Promise<Socket> {
    const outgoing = this.#request("POST", path, "application/json");
    const bound = this.#bound(outgoing, limits.sandbox.toolTimeoutMs);
    try {
      return await new Promise<Socket>((resolve, reject) => {
        outgoing.setHeader("connection", "Upgrade");
        outgoing.setHeader("upgrade", "tcp");
        outgoing.once("error", reject);
        outgoing.once("upgrade", (_, socket: Socket, head: Buffer) => {
          // Nobody may be reading yet when the engine goes away.
          socket.on("error", () => undefined).pause();
          if (head.length > 0) socket.unshift(head);
          resolve(socket);
        });
        outgoing.once("response", ({ statusCode }) => {
          outgoing.destroy();
          reject(new SandboxError(`docker refused \`POST ${path.split("?")[0]}\`: status ${statusCode}`, REMEDY));
        });
        outgoing.end(body === undefined ? undefined : JSON.stringify(body));
      });
    } catch (error) {
      throw this.#silent(error);
    } finally {
      bound.end();
    }
  }

  #bound(outgoing: ClientRequest, timeoutMs: number): { assertInTime(): void; end(): void } {
    const timer = new AbortController();
    let late: Error | undefined;
    this.#clock.sleep(timeoutMs, timer.signal).then(
      () => outgoing.destroy((late = new Error(`no answer within ${timeoutMs} ms`))),
      () => undefined,
    );
    return {
      // An answer whose end is that of its connection looks whole when we have ended it.
      assertInTime: () => {
        if (late) throw late;
      },
      end: () => timer.abort(),
    };
  }

  #request(method: string, path: string, type: string) {
    const headers = { "content-type": type, host: "docker" };
    return request({ socketPath: this.socketPath, method, path: VERSION + path, headers, agent: false });
  }

  #silent(cause: unknown): SandboxError {
    if (cause instanceof SandboxError) return cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    return new SandboxError(`the docker engine at \`${this.socketPath}\` does not answer: ${why}`, REMEDY, { cause });
  }
}

const REMEDY = "start the docker service, or run `cordon doctor` to see what it lacks";

const isStream = (body: object | undefined): body is Readable => body !== undefined && "pipe" in body;

async function textOf(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > limits.docker.answerBytesMax) throw new Error("its answer is too long");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Why the engine has refused, in its words. */
export function reasonIn(answer: unknown): string {
  const said = typeof answer === "object" && answer !== null && "message" in answer ? answer.message : answer;
  return typeof said === "string" && said !== "" ? said.slice(0, 600) : "no reason was given";
}
