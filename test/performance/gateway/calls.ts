import type { Slice } from "./client.ts";

/** What is asked in each kind of slice; `model` tells the provider how to answer. */
export type Kind =
  | "one"
  | "sixteen"
  | "sixtyFour"
  | "burst"
  | "paced"
  | "first"
  | "firstAtOnce"
  | "large"
  | "tls"
  | "tlsSixtyFour";

export interface Load {
  readonly connections: number;
  /** Doors for each connection. */
  readonly doors: number;
  readonly ms: number;
  readonly request: Slice["request"];
  readonly ending: string;
}

export const CHAT_PATH = "/v1/chat/completions";
const prompt = "Summarise what follows in one sentence, and keep every name and every number as it is. ";

export function bodyOf(model: string, stream: boolean, bytes: number): string {
  const messages = [
    { role: "system", content: "You are a careful assistant." },
    { role: "user", content: prompt.repeat(Math.ceil(bytes / prompt.length)).slice(0, bytes) },
  ];
  const usage = stream ? { stream_options: { include_usage: true } } : {};
  return JSON.stringify({ model, max_tokens: 1_000, temperature: 0.2, stream, ...usage, messages });
}

export const requestOf = (model: string, stream: boolean, bytes = 950): Slice["request"] => ({
  path: CHAT_PATH,
  headers: "",
  body: bodyOf(model, stream, bytes),
});

const JSON_END = "}";
const STREAM_END = "data: [DONE]\n\n";

/** Seconds are those of a full run; `scale` makes all of them shorter. */
export function loads(scale: number): Readonly<Record<Kind, Load>> {
  const load = (connections: number, doors: number, ms: number, request: Slice["request"], ending: string): Load => ({
    ...{ connections, doors, request, ending },
    ms: ms * scale,
  });
  return {
    one: load(1, 8, 700, requestOf("bench/json", false), JSON_END),
    sixteen: load(16, 2, 900, requestOf("bench/json", false), JSON_END),
    sixtyFour: load(64, 2, 900, requestOf("bench/json", false), JSON_END),
    burst: load(16, 1, 900, requestOf("bench/burst", true), STREAM_END),
    paced: load(32, 1, 900, requestOf("bench/paced", true), STREAM_END),
    first: load(1, 1, 500, requestOf("bench/first", true), STREAM_END),
    firstAtOnce: load(1, 1, 500, requestOf("bench/burst", true), STREAM_END),
    large: load(4, 1, 700, requestOf("bench/json", false, 260_000), JSON_END),
    tls: load(16, 2, 700, requestOf("tls/json", false), JSON_END),
    tlsSixtyFour: load(64, 2, 700, requestOf("tls/json", false), JSON_END),
  };
}
