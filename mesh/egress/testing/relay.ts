import type { Dispatcher } from "undici";
import { AnswerRelay, type Outcome } from "../answer-relay.ts";
import { compileScrubber } from "../scrubber.ts";
import type { Provider } from "../providers.ts";
import type { WireFormat } from "../wire/format.ts";
import { openaiFormat } from "../wire/openai.ts";

export const SECRET = "sk-live-4f9a1c77e2b8";
const provider: Provider = {
  name: "own",
  apis: ["openai"],
  baseUrl: "http://own.test/v1",
  credential: "own",
  priceList: null,
};

interface Setting {
  readonly format: WireFormat;
  readonly stream: boolean;
  readonly outputTokensMax?: number;
  readonly credential?: boolean;
}

/** An answer relay between a dispatcher that a test plays and a sink that a test watches. */
export function playRelay({ format, stream, outputTokensMax = 1_000, credential = true }: Setting) {
  const heard = {
    status: 0,
    headers: {} as Readonly<Record<string, string>>,
    text: "",
    resume: undefined as (() => void) | undefined,
  };
  const calls: string[] = [];
  let open = true;
  const injection = { value: SECRET, automaton: compileScrubber([Buffer.from(SECRET)], "[gone]"), writes: [] };
  let outcome: Outcome | undefined;
  const relay = new AnswerRelay(
    { provider, meter: format.meter(), stream, outputTokensMax, injection: credential ? injection : null },
    {
      head: (status, headers) => Object.assign(heard, { status, headers }),
      write: (bytes) => {
        heard.text += bytes.toString();
        return open;
      },
      drained: (resume) => (heard.resume = resume),
    },
    (ended) => (outcome = ended),
  );
  const controller = {
    abort: () => calls.push("abort"),
    pause: () => calls.push("pause"),
    resume: () => calls.push("resume"),
  } as unknown as Dispatcher.DispatchController;
  relay.onRequestStart(controller);
  const type = stream ? "text/event-stream" : "application/json";
  return {
    heard,
    calls,
    relay,
    fill: () => (open = false),
    start: (status = 200, headers: Readonly<Record<string, string | undefined>> = {}) =>
      relay.onResponseStart(controller, status, {
        "content-type": status >= 400 ? "application/json" : type,
        ...headers,
      }),
    /** In memory that is used again at once, as that of a connection is. */
    data: (text: string | Buffer) => {
      const memory = Buffer.from(text);
      relay.onResponseData(controller, memory);
      memory.fill("#");
    },
    end: () => relay.onResponseEnd(controller),
    error: (error: Error) => relay.onResponseError(controller, error),
    /** The outcome, or undefined while the exchange goes on. */
    async ended(): Promise<Outcome | undefined> {
      await new Promise((resolve) => setImmediate(resolve));
      return outcome;
    },
  };
}

export const streaming = (outputTokensMax?: number) =>
  playRelay({ format: openaiFormat, stream: true, ...(outputTokensMax === undefined ? {} : { outputTokensMax }) });
export const plain = () => playRelay({ format: openaiFormat, stream: false });
export const event = (body: object): string => `data: ${JSON.stringify(body)}\n\n`;
export const say = (content: string): string => event({ choices: [{ index: 0, delta: { content } }] });
export const FINISH = event({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }] });
export const USAGE = event({ choices: [], usage: { prompt_tokens: 3, completion_tokens: 2 } });
export const DONE = "data: [DONE]\n\n";
export const kindOf = async (play: ReturnType<typeof playRelay>) => {
  const outcome = await play.ended();
  if (!outcome) return ["the exchange goes on"];
  return outcome.kind === "failed"
    ? [outcome.kind, outcome.refusal.code, outcome.billed]
    : [outcome.kind, outcome.billed, "reason" in outcome ? outcome.reason : outcome.status];
};
