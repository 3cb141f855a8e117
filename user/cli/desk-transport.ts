import { request, type IncomingMessage } from "node:http";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseJson, type Json } from "../../lib/json.ts";
import { deskFiles } from "../../protocol/desk.ts";
import { limits } from "../../protocol/limits.ts";
import type { RefusalBody } from "../../protocol/refusal.ts";
import { codeOf, Failure } from "./failure.ts";

export interface DeskCall {
  readonly method: "GET" | "POST";
  /** With its query; parts that come from people are URI-encoded by the caller. */
  readonly path: string;
  readonly body?: unknown;
  /** How long the desk may take on purpose (long polls, `exec`). */
  readonly patienceMs?: number;
  readonly signal?: AbortSignal;
}

/** One authenticated exchange with the desk. Resolves with the answer, or undefined for 204; rejects with a Failure. */
export type DeskTransport = (call: DeskCall) => Promise<Json | undefined>;

/** No desk answers on this state. */
export class NoMesh extends Failure {
  constructor(state: string) {
    super(
      `no mesh is running on the state \`${state}\``,
      "start it with `cordon up`, or name its state with `--state DIR`",
    );
  }
}

export async function openTransport(state: string, tokenFile: string = deskFiles.token): Promise<DeskTransport> {
  const socketPath = join(state, deskFiles.socket);
  const token = await readToken(state, tokenFile);
  return async (call) => {
    try {
      return await exchange(socketPath, token, call);
    } catch (error) {
      if (["ENOENT", "ECONNREFUSED"].includes(codeOf(error))) throw new NoMesh(state);
      if (codeOf(error) === "EACCES") throw notAllowed(socketPath, error);
      if (error instanceof Failure || call.signal?.aborted) throw error;
      throw new Failure(
        `the desk broke off \`${call.method} ${call.path}\`: ${error instanceof Error ? error.message : String(error)}`,
        "see what the mesh says, in its terminal or in `mesh.log` of the state folder",
        1,
        { cause: error },
      );
    }
  };
}

async function readToken(state: string, tokenFile: string): Promise<string> {
  const file = join(state, tokenFile);
  let token: string;
  try {
    token = (await readFile(file, "latin1")).trim();
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(codeOf(error))) throw new NoMesh(state);
    throw notAllowed(file, error);
  }
  if (/^[A-Za-z0-9_-]{43}$/.test(token)) return token;
  throw new Failure(`\`${file}\` holds no desk token`, "stop the mesh, remove the file and run `cordon up` again");
}

const notAllowed = (path: string, cause: unknown): Failure =>
  new Failure(`\`${path}\` cannot be opened: ${codeOf(cause)}`, "run this as the user that runs the mesh", 1, {
    cause,
  });

function exchange(socketPath: string, token: string, call: DeskCall): Promise<Json | undefined> {
  return new Promise((resolve, reject) => {
    const body = call.body === undefined ? undefined : Buffer.from(JSON.stringify(call.body));
    const outgoing = request({
      socketPath,
      method: call.method,
      path: call.path,
      agent: false,
      headers: {
        host: "desk",
        authorization: `Bearer ${token}`,
        ...(body ? { "content-type": "application/json", "content-length": body.length } : {}),
      },
      signal: AbortSignal.any([
        AbortSignal.timeout((call.patienceMs ?? 0) + limits.desk.answerTimeoutMs),
        ...(call.signal ? [call.signal] : []),
      ]),
    });
    outgoing.on("error", reject);
    outgoing.on("response", (incoming) => void readAnswer(incoming, call).then(resolve, reject));
    outgoing.end(body);
  });
}

async function readAnswer(incoming: IncomingMessage, call: DeskCall): Promise<Json | undefined> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of incoming as AsyncIterable<Buffer>) {
    size += piece.length;
    if (size > limits.desk.answerBytesMax) {
      incoming.destroy();
      throw new Failure(`the desk's answer to \`${call.path}\` is too large`, "ask for fewer lines or records at once");
    }
    pieces.push(piece);
  }
  if (incoming.statusCode === 204) return undefined;
  const parsed = parseJson(Buffer.concat(pieces), limits.door.jsonDepthMax * 2);
  if (!parsed.ok) {
    throw new Failure(
      `the desk answered \`${call.path}\` with status ${incoming.statusCode} and something that is not JSON`,
      "check that this `cordon` and the running mesh are of the same version",
    );
  }
  if (incoming.statusCode === 200) return parsed.value;
  throw refusalOf(parsed.value, incoming.statusCode ?? 0);
}

/** A refusal of the desk, with its code, as a failure. */
export class DeskRefusal extends Failure {
  readonly code: string;
  constructor(code: string, reason: string, remedy: string) {
    super(reason, remedy);
    this.code = code;
  }
}

function refusalOf(body: Json, status: number): Failure {
  const error = (body as unknown as Partial<RefusalBody> | null)?.error;
  if (typeof error?.reason !== "string")
    return new Failure(`the desk answered with status ${status}`, "see the mesh's log");
  return new DeskRefusal(String(error.code), error.reason, String(error.remedy ?? ""));
}
