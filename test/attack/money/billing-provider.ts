/** A provider that bills by the rules of a real one, writes down what reaches it, and breaks where it is told to. */
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

export interface Billed {
  readonly path: string;
  readonly model: string;
  readonly maxTokens: number;
  readonly text: string;
}

export interface BillingProvider {
  readonly port: number;
  /** Every request, in the order in which they came. */
  readonly received: readonly Billed[];
  /** Lets the answers go on that were asked to wait. */
  release(): void;
  close(): void;
}

const WORDS = 40;
const event = (fields: object): string =>
  `data: ${JSON.stringify({ id: "x", object: "chat.completion.chunk", created: 1, model: "m", choices: [], ...fields })}\n\n`;
const word = (index: number): string =>
  event({ choices: [{ index: 0, delta: { content: `w${index} ` }, finish_reason: null }] });
const stop = event({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }] });
/** 20 plain, 60 from the cache, 20 into it; 10 shown and 40 hidden. */
export const detailed = {
  ...{ prompt_tokens: 100, completion_tokens: 10, total_tokens: 150 },
  prompt_tokens_details: { cached_tokens: 60, cache_write_tokens: 20 },
};

export async function startBilling(): Promise<BillingProvider> {
  const received: Billed[] = [];
  let gate = Promise.withResolvers<void>();
  const stream = async (response: ServerResponse, text: string): Promise<void> => {
    response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
    if (text.includes("die early")) return void response.destroy();
    for (let index = 0; index < WORDS; index++) {
      response.write(word(index));
      if (index === 0 && text.includes("wait")) await gate.promise;
      if (text.includes("slowly")) await sleep(5);
      if (index === WORDS - 4 && text.includes("die late")) return void setTimeout(() => response.destroy(), 20);
    }
    response.end(
      `${stop}${event({ usage: { prompt_tokens: 9, completion_tokens: WORDS, total_tokens: 9 + WORDS } })}data: [DONE]\n\n`,
    );
  };
  const server = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request
      .on("data", (piece: Buffer) => pieces.push(piece))
      .on("end", () => {
        const body = JSON.parse(Buffer.concat(pieces).toString()) as Record<string, never>;
        const text = JSON.stringify(body["messages"] ?? body["input"] ?? "");
        const maxTokens = Number(body["max_tokens"] ?? body["max_completion_tokens"] ?? 0);
        received.push({ path: request.url ?? "", model: String(body["model"]), maxTokens, text });
        if (body["stream"]) return void stream(response, text);
        const usage = text.includes("detailed")
          ? detailed
          : { prompt_tokens: 5, completion_tokens: 5, total_tokens: 10 };
        const message = { role: "assistant", content: "yes" };
        const answer = request.url?.endsWith("/embeddings")
          ? { object: "list", model: "m", data: [], usage: { prompt_tokens: 12, total_tokens: 12 } }
          : {
              id: "x",
              object: "chat.completion",
              created: 1,
              model: "m",
              choices: [{ index: 0, message, finish_reason: "stop" }],
              usage,
            };
        response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(answer));
      });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return {
    port: (server.address() as AddressInfo).port,
    received,
    release: () => {
      gate.resolve();
      gate = Promise.withResolvers<void>();
    },
    close: () => {
      gate.resolve();
      server.closeAllConnections();
      server.close();
    },
  };
}
