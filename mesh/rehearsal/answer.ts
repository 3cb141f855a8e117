import { createHash } from "node:crypto";
import type { ModelRequest, ToolCall } from "./conversation.ts";
import type { Utterance } from "./scenario/decide.ts";
import { BYTES_PER_TOKEN, cutToBytes, tokensOf } from "./tokens.ts";

/** Why an answer ended, in neither format's words. */
export type Finish =
  | { readonly type: "end" }
  | { readonly type: "calls" }
  | { readonly type: "length" }
  | { readonly type: "stop"; readonly sequence: string };

/** A finished answer: both formats, streaming or not, are only ways to write this down. */
export interface Answer {
  /** 24 hexadecimal digits; the formats put their own prefix before it. */
  readonly id: string;
  readonly model: string;
  /** Seconds since the Unix epoch. */
  readonly createdS: number;
  readonly text: string;
  readonly calls: readonly ToolCall[];
  readonly finish: Finish;
  readonly inputTokens: number;
  /** Of one choice. */
  readonly outputTokens: number;
  /** An answer that tells no usage is a fault on demand. */
  readonly usage: "told" | "missing";
  /** True: a word an event, so that an event is a token where words have four bytes. */
  readonly wordByWord: boolean;
}

export interface AnswerSource {
  readonly seed: string;
  readonly createdS: number;
  readonly wordByWord: boolean;
}

/** Applies stop sequences (to the text) and the bound on tokens (to text, then calls), and counts. */
export function answerTo(request: ModelRequest, utterance: Utterance, source: AnswerSource): Answer {
  const id = idOf([source.seed, request.model, request.conversation.system, request.conversation.entries]);
  const stopped = cutAtStop(utterance.text, request.stop);
  let room = request.maxTokens === undefined ? Infinity : request.maxTokens * BYTES_PER_TOKEN;
  const wanted = Buffer.byteLength(stopped.text) + utterance.calls.reduce((sum, call) => sum + bytesOf(call), 0);
  const text = wanted <= room ? stopped.text : cutToBytes(stopped.text, room);
  room -= Buffer.byteLength(text);
  const calls: ToolCall[] = [];
  for (const [index, call] of utterance.calls.entries()) {
    const left = room - Buffer.byteLength(call.name);
    if (left < 0) break;
    const cut = Number.isFinite(left) ? cutToBytes(call.arguments, left) : call.arguments;
    calls.push({ id: idOf([id, index]), name: call.name, arguments: cut });
    room = left - Buffer.byteLength(cut);
  }
  const bytes = Buffer.byteLength(text) + calls.reduce((sum, call) => sum + bytesOf(call), 0);
  return {
    id,
    model: `rehearsal/${request.model}`,
    createdS: source.createdS,
    text,
    calls,
    finish: bytes < wanted ? { type: "length" } : (stopped.finish ?? { type: calls.length > 0 ? "calls" : "end" }),
    inputTokens: request.inputTokens,
    outputTokens: tokensOf(bytes),
    usage: "told",
    wordByWord: source.wordByWord,
  };
}

const bytesOf = (call: { readonly name: string; readonly arguments: string }): number =>
  Buffer.byteLength(call.name) + Buffer.byteLength(call.arguments);

function cutAtStop(text: string, stop: readonly string[]): { readonly text: string; readonly finish?: Finish } {
  let at = Infinity;
  let found = "";
  for (const sequence of stop) {
    const index = sequence === "" ? -1 : text.indexOf(sequence);
    if (index >= 0 && index < at) [at, found] = [index, sequence];
  }
  return found === "" ? { text } : { text: text.slice(0, at), finish: { type: "stop", sequence: found } };
}

/** The same conversation gives the same ids; a longer one gives others, so that no two calls of it share one. */
const idOf = (of: unknown): string => createHash("sha256").update(JSON.stringify(of)).digest("hex").slice(0, 24);
