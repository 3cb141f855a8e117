/** A door for tests: real HTTP on a real Unix socket; what it answers is what the test says. */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Delivery, Self } from "../../protocol/door.ts";
import { unlabelled } from "../../protocol/label.ts";

/** What the loop sends, as far as tests look into it. */
export interface SeenBody {
  readonly messages: readonly SeenMessage[];
  readonly tools: readonly { readonly function: { readonly name: string } }[];
  readonly body: string;
  readonly [more: string]: unknown;
}
export interface SeenMessage {
  readonly role: string;
  readonly content: string;
  readonly tool_call_id: string;
}

export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly body: SeenBody;
}

/** Pieces are written one by one, so that a test decides where the stream is cut into chunks. */
export type ModelStep =
  | { readonly stream: readonly string[]; readonly break?: boolean }
  | { readonly status: number; readonly json: unknown };

export interface FakeDoor {
  readonly folder: string;
  readonly socketPath: string;
  readonly seen: Seen[];
  /** Requests whose path starts so. */
  to(path: string): Seen[];
  readonly model: ModelStep[];
  tool: (
    name: string,
    body: SeenBody,
  ) => { readonly status: number; readonly json: unknown } | Promise<{ status: number; json: unknown }>;
  /** Answers of `reply` and `done`. */
  settle: { status: number; json: unknown };
  deliver(delivery: Partial<Delivery>): void;
  /** Resolves when a `reply` or `done` has come; with it. */
  settled(): Promise<Seen>;
  close(): Promise<void>;
}

export const self: Self = {
  agent: "researcher",
  fleet: "newsroom",
  instructions: "You are the researcher.",
  model: { id: "rehearsal/newsroom", api: "openai" },
  tools: [
    { name: "files.read", description: "read", parameters: { type: "object" } },
    { name: "message.send", description: "send", parameters: { type: "object" } },
  ],
  peers: ["writer"],
};

export const toolAnswer = (result: unknown): { status: number; json: unknown } => ({
  status: 200,
  json: { result, label: unlabelled },
});

export async function startFakeDoor(me: Self = self): Promise<FakeDoor> {
  const folder = mkdtempSync(join(tmpdir(), "cordon-door-"));
  const inbox: Delivery[] = [];
  const settlements: Seen[] = [];
  let wake = (): void => {};
  let onSettled = (): void => {};
  const send = (response: ServerResponse, status: number, json?: unknown): void => {
    response.writeHead(status, { "content-type": "application/json" });
    response.end(json === undefined ? undefined : JSON.stringify(json));
  };

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = "";
    for await (const chunk of request.setEncoding("utf8")) text += chunk;
    const path = request.url ?? "";
    const seen = { method: request.method ?? "", path, body: text === "" ? undefined : JSON.parse(text) };
    door.seen.push(seen);
    if (path === "/v1/self") return send(response, 200, me);
    if (path.startsWith("/v1/inbox?")) return void poll(response);
    if (path.startsWith("/v1/inbox/")) {
      settlements.push(seen);
      send(response, door.settle.status, door.settle.json);
      return onSettled();
    }
    if (path.startsWith("/v1/tools/")) {
      const { status, json } = await door.tool(path.slice("/v1/tools/".length), seen.body);
      return send(response, status, json);
    }
    const step = door.model.shift();
    if (!step) return send(response, 424, { error: { code: "upstream_failed", message: "no step is left" } });
    if ("json" in step) return send(response, step.status, step.json);
    response.writeHead(200, { "content-type": "text/event-stream" });
    for (const piece of step.stream) {
      response.write(piece);
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (step.break) response.destroy();
    else response.end();
  }

  function poll(response: ServerResponse): void {
    const next = inbox.shift();
    if (next) return send(response, 200, next);
    wake = () => {
      wake = () => {};
      const late = inbox.shift();
      if (late) send(response, 200, late);
    };
  }

  const server = createServer((request, response) => void answer(request, response));
  const door: FakeDoor = {
    folder,
    socketPath: join(folder, "door.sock"),
    seen: [],
    to: (path) => door.seen.filter((seen) => seen.path.startsWith(path)),
    model: [],
    tool: () => toolAnswer({}),
    settle: { status: 200, json: { id: "msg_answer" } },
    deliver(delivery) {
      inbox.push({
        id: "msg_1",
        from: "principal:operator",
        conversation: "conv_1",
        inReplyTo: null,
        body: "hello",
        label: unlabelled,
        sentAtMs: 0,
        ...delivery,
      });
      wake();
    },
    settled: () =>
      new Promise((resolve) => {
        onSettled = () => {
          const next = settlements.shift();
          if (next) resolve(next);
        };
        onSettled();
      }),
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      rmSync(folder, { recursive: true, force: true });
    },
  };
  await new Promise<void>((resolve) => server.listen(door.socketPath, resolve));
  return door;
}

/** An OpenAI stream that says `text` and calls `calls`, framed as the real one is. */
export function openaiStream(
  text: string,
  calls: readonly { readonly name: string; readonly input: string }[] = [],
): string[] {
  const chunk = (delta: object, finish_reason: string | null = null): string =>
    `data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", choices: [{ index: 0, delta, finish_reason }] })}\n\n`;
  return [
    chunk({ role: "assistant", content: "" }),
    ...(text === "" ? [] : [chunk({ content: text })]),
    ...calls.flatMap(({ name, input }, index) => [
      chunk({ tool_calls: [{ index, id: `call_${index}`, type: "function", function: { name, arguments: "" } }] }),
      chunk({ tool_calls: [{ index, function: { arguments: input } }] }),
    ]),
    chunk({}, calls.length > 0 ? "tool_calls" : "stop"),
    `data: ${JSON.stringify({ choices: [], usage: { prompt_tokens: 1, completion_tokens: 1 } })}\n\n`,
    "data: [DONE]\n\n",
  ];
}
